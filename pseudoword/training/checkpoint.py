"""One file that holds everything a run needs to go on: tensors, and JSON in their metadata. No pickle."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..diffusion import DiffusionModel
from ..errors import DatasetError, TrainingError
from .captions import load_templates
from .dataset import Picture, PictureSet
from .precision import LossScale
from .progress import Progress
from .run_folder import write_whole
from .settings import TrainSettings

FORMAT = "pseudoword checkpoint 1"

# Settings that may change between two sessions of a run: they decide when to look and to stop, not what is learned.
CHANGEABLE = frozenset({"steps", "save_every", "preview_every", "preview_prompt", "early_stop", "patience"})


@dataclass(frozen=True)
class RunIdentity:
    """What a run was started with: a checkpoint may only be continued with the same.

    `pictures` are (file name, SHA-256 of its bytes and caption) in order; `settings` is `TrainSettings.to_dict()`;
    `templates` are the lines that its setting of that name stood for.
    """

    model_title: str
    model_sha256: str
    settings: Mapping[str, Any]
    pictures: tuple[tuple[str, str], ...]
    templates: tuple[str, ...]

    def differences(self, other: RunIdentity) -> list[str]:
        """Where `other` is not what this run was started with, each in words; none where it can go on."""
        found = []
        if self.model_sha256 != other.model_sha256:
            found.append(
                f"the model was {self.model_title} ({self.model_sha256[:10]}) "
                f"and is {other.model_title} ({other.model_sha256[:10]})"
            )
        changeable = set(CHANGEABLE)
        if self.settings.get("decay") != "none":
            changeable.remove("steps")  # a decay ends with the run, so its length decides every rate on the way
        for name in sorted((self.settings.keys() | other.settings.keys()) - changeable):
            before, now = self.settings.get(name), other.settings.get(name)
            if before != now:
                found.append(f"the setting {name} was {before!r} and is {now!r}")
        if self.templates != other.templates and self.settings.get("templates") == other.settings.get("templates"):
            found.append(f"the lines of the template file {other.settings.get('templates')} were changed")
        return found + self._picture_differences(other)

    def _picture_differences(self, other: RunIdentity) -> list[str]:
        # Counted, since pictures of two folders may have the same name.
        before, now = Counter(self.pictures), Counter(other.pictures)
        gone, new = {name for name, _ in before - now}, {name for name, _ in now - before}
        found = [f"the picture {name} is gone" for name in sorted(gone - new)]
        found += [f"the picture {name} is new" for name in sorted(new - gone)]
        found += [f"the picture {name} or its caption was changed" for name in sorted(gone & new)]
        if not found and self.pictures != other.pictures:
            found.append("the pictures are in another order")
        return found


def identify(model: DiffusionModel, settings: TrainSettings, pictures: PictureSet) -> RunIdentity:
    """The identity of a run that begins now. Raises DatasetError for files that can no longer be read."""
    hashes = tuple((picture.path.name, picture_hash(picture)) for picture in pictures.pictures)
    templates = tuple(load_templates(settings.templates))
    return RunIdentity(model.title, model.sha256, settings.to_dict(), hashes, templates)


def picture_hash(picture: Picture) -> str:
    """SHA-256 of a picture's caption and file, hex. Raises DatasetError for one that can no longer be read."""
    digest = hashlib.sha256(picture.filewords.encode())
    try:
        digest.update(b"\0" + picture.path.read_bytes())
    except OSError as error:
        raise DatasetError(
            f"{picture.path.name} can no longer be read ({error.strerror}); put it back, or start again."
        ) from error
    return digest.hexdigest()


@dataclass
class RunState:
    """Everything about a run that changes from step to step, apart from `LearnedWord.state()`.

    `rate_factor` is what setbacks left of the learning rate; `micro_batch` how many pictures the UNet gets at once;
    `validated_at` and `previewed_at` the last steps at which that was done (-1: never); `seconds` the time trained;
    `records` how many the history held at the last checkpoint.
    """

    micro_batch: int
    step: int = 0
    progress: Progress = field(default_factory=Progress)
    loss_scale: LossScale = field(default_factory=LossScale)
    rate_factor: float = 1.0
    setbacks: int = 0
    last_setback_step: int = -1
    validated_at: int = -1
    previewed_at: int = -1
    seconds: float = 0.0
    records: int = 0

    def copy(self) -> RunState:
        """An independent copy."""
        return dataclasses.replace(self, progress=self.progress.copy(), loss_scale=dataclasses.replace(self.loss_scale))


@dataclass(frozen=True)
class Checkpoint:
    """A run at one moment: `word` is `LearnedWord.state()`, `start` and `best` are vectors (n, D) by encoder."""

    identity: RunIdentity
    state: RunState
    start_words: str
    start: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    word: Mapping[str, Tensor]


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write `checkpoint` to `path`, whole or not at all. Raises TrainingError where the disk refuses."""
    facts = {
        "identity": dataclasses.asdict(checkpoint.identity),
        "state": dataclasses.asdict(checkpoint.state),
        "start_words": checkpoint.start_words,
    }
    tensors = dict(checkpoint.word)
    for group in ("start", "best"):
        tensors.update({f"{group}.{encoder}": rows for encoder, rows in getattr(checkpoint, group).items()})
    # Cloned, since best and start may be the same tensors, which safetensors refuses.
    tensors = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    write_whole(path, save(tensors, metadata={"format": FORMAT, "facts": json.dumps(facts)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote. Raises TrainingError for a file that is something else, or broken."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"its format is {metadata.get('format')!r}, not {FORMAT!r}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        facts = json.loads(metadata["facts"])
        identity = dict(facts["identity"])
        identity["pictures"] = tuple((name, digest) for name, digest in identity["pictures"])
        identity["templates"] = tuple(identity["templates"])
        state = dict(facts["state"])
        state["progress"] = Progress(**state["progress"])
        state["loss_scale"] = LossScale(**state["loss_scale"])
        return Checkpoint(
            identity=RunIdentity(**identity),
            state=RunState(**state),
            start_words=facts["start_words"],
            start=_group(tensors, "start"),
            best=_group(tensors, "best"),
            word={name: tensor for name, tensor in tensors.items() if not name.startswith(("start.", "best."))},
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path} is not a checkpoint that this version can read ({error}); "
            "start anew in an empty folder, or put back the file that was there."
        ) from error


def load_fitting(path: Path, identity: RunIdentity) -> Checkpoint | None:
    """The checkpoint at `path` if there is one. Raises TrainingError where it belongs to a run of something else."""
    if not path.exists():
        return None
    checkpoint = load_checkpoint(path)
    differences = checkpoint.identity.differences(identity)
    if differences:
        raise TrainingError(
            f"The run in {path.parent} cannot go on, because {'; '.join(differences)}. "
            "Restore what it was, or remove that run to begin anew."
        )
    return checkpoint


def _group(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    return {name[len(group) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{group}.")}
