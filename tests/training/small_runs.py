"""Runs that take a second: four pictures of 32 pixels, `TinyModel`, a dozen steps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageColor, ImageDraw
from torch import Tensor

from pseudoword.diffusion import Conditioning, DiffusionModel
from pseudoword.text import encode_prompts
from pseudoword.training.dataset import PictureSet, find_pictures
from pseudoword.training.events import Event
from pseudoword.training.settings import TrainSettings
from pseudoword.training.trainer import TrainingRun
from tests.tiny_models import SIZE, TinyModel

WORD = "zxqv-toy"
COLOURS = ("crimson", "orange", "seagreen", "royalblue")

SMALL: dict[str, Any] = {
    "name": WORD,
    "start": "the dog",
    "batch": 4,
    "steps": 12,
    "learning_rate": "0.05",
    "hold": 0.0,
    "validate_every": 4,
    "preview_every": 6,
    "save_every": 5,
    "early_stop": False,
}


def settings(**changes: Any) -> TrainSettings:
    """The settings of a small run."""
    return TrainSettings.from_dict({**SMALL, **changes})


def draw_pictures(folder: Path, *, transparent: bool = False) -> Path:
    """Four discs in four colours, on white or on nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, colour in enumerate(COLOURS):
        picture = Image.new("RGBA", (SIZE, SIZE), (255, 255, 255, 0 if transparent else 255))
        ImageDraw.Draw(picture).ellipse((4, 4, 20 + place, 24), fill=colour)
        picture.save(folder / f"{place}.png")
    return folder


def pictures(folder: Path, wanted: TrainSettings, *, transparent: bool = False) -> PictureSet:
    """`draw_pictures` as a training set."""
    return find_pictures(draw_pictures(folder, transparent=transparent), wanted)


def run_in(folder: Path, model: DiffusionModel, wanted: TrainSettings, *, transparent: bool = False) -> TrainingRun:
    """A run in `folder`/run on pictures in `folder`/pictures."""
    return TrainingRun(model, wanted, pictures(folder / "pictures", wanted, transparent=transparent), folder / "run")


def of_kind(events: Iterable[Event], kind: type[Any]) -> list[Any]:
    """Those of `events` that are of one class."""
    return [event for event in events if isinstance(event, kind)]


def bits(run: TrainingRun) -> dict[str, list[list[float]]]:
    """Best and last vectors, exactly."""
    found: dict[str, list[list[float]]] = {}
    for which in ("best", "last"):
        vectors: Mapping[str, Tensor] = run.result(which).vectors
        found.update({f"{which} {encoder}": rows.tolist() for encoder, rows in vectors.items()})
    return found


def timeless_history(folder: Path) -> list[dict[str, Any]]:
    """The records of the run in `folder`/run, without what hangs on the clock."""
    records = [json.loads(line) for line in (folder / "run" / "history.jsonl").read_text().splitlines()]
    for record in records:
        for key in ("seconds", "seconds_left"):
            record.pop(key, None)
        record.get("figures", {}).pop("seconds", None)
    return records


def one_thread() -> None:
    """Sums in one order, so that runs of different processes can be compared bit for bit."""
    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def taught_weights() -> Mapping[str, Tensor]:
    """Weights for `TinyModel.unet` after 150 steps of learning what five colours look like: now it heeds its prompt."""
    model = TinyModel()
    colours = ("red", "blue", "green", "black", "white")
    pixels = torch.stack([flat_picture(colour) for colour in colours])
    latents = model.encode_images(pixels).mean
    context = encode_prompts(model, [f"a photo of {colour}" for colour in colours], {}).context
    model.unet.requires_grad_(True)
    optimiser = torch.optim.Adam(model.unet.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        noise = torch.randn(latents.shape, generator=generator)
        timesteps = torch.randint(1000, (len(latents),), generator=generator)
        noisy = model.schedule.add_noise(latents, noise, timesteps)
        loss = (model.predict(noisy, timesteps, Conditioning(context)) - noise).square().mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    return {name: weight.detach() for name, weight in model.unet.state_dict().items()}


def taught_model() -> TinyModel:
    """A `TinyModel` that draws flat pictures in a colour it is told, after a fashion."""
    model = TinyModel()
    model.unet.load_state_dict(taught_weights())
    return model


def flat_picture(colour: str) -> Tensor:
    """Pixels (3, SIZE, SIZE) in [-1, 1] of nothing but `colour`."""
    rgb = torch.tensor(ImageColor.getrgb(colour)) / 127.5 - 1
    return rgb[:, None, None].expand(3, SIZE, SIZE)


def draw_shades(folder: Path) -> Path:
    """Four flat pictures in shades of one colour that `taught_weights` knows nothing of."""
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(4):
        Image.new("RGB", (SIZE, SIZE), (230 - place, 130 + place, 10)).save(folder / f"{place}.png")
    return folder
