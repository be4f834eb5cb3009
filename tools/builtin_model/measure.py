"""Figures of the built-in model as it ships, for its model card: measured through Pseudoword's own host and scorer."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pseudoword import builtin
from pseudoword.diffusion import Sampling
from pseudoword.hosts.diffusers import StandaloneModel, load_model
from pseudoword.scoring import ClipScorer
from pseudoword.text import encode_prompts
from pseudoword.training.contact_sheet import contact_sheet, row_of
from tools.pages import ROOT, side_by_side, table, write_section

from . import clip, pictures, vae

PROMPTS, SEEDS = 50, 4
CARD = builtin.FOLDER / "MODEL_CARD.md"
SAMPLING = Sampling(pictures.SIZE, pictures.SIZE)


def reconstruction(model: StandaloneModel, work: Path) -> float:
    """Mean PSNR in dB of 512 held-out pictures through the autoencoder."""
    held_out, _ = pictures.load(work, held_out=True)
    pixels = vae.to_pixels(held_out[:: len(held_out) // 512][:512])
    rebuilt = torch.cat([model.decode_latents(model.encode_images(some).mean) for some in pixels.split(64)])
    return vae.psnr(rebuilt, pixels)


def retrieval(scorer: ClipScorer, work: Path) -> float:
    """How often a newly composed picture of one of 200 seen objects finds that object's caption first."""
    images, texts, _ = clip.retrieval_set(work)
    shown = [Image.fromarray(image) for image in images]
    found = (scorer.image_features(shown) @ scorer.text_features(texts).T).argmax(dim=1)
    return float((found == torch.arange(len(texts))).float().mean())


def ground_colour(picture: Image.Image) -> str:
    """Name of the colour nearest to the median of a picture's border, two pixels wide."""
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    border = np.concatenate([edge.reshape(-1, 3) for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:])])
    median = np.median(border, axis=0)
    return min(pictures.COLOURS, key=lambda name: float(np.square(median - pictures.COLOURS[name]).sum()))


def following(model: StandaloneModel, scorer: ClipScorer, work: Path) -> tuple[float, float, Image.Image]:
    """Of 50 prompts × 4 seeds: how often CLIP ranks the prompt first and the ground is right; the pictures."""
    seen = json.loads((work / "split.json").read_text())["seen"]
    draw = random.Random(11)
    names = [name.replace("-", " ") for name in draw.sample(seen, PROMPTS)]
    colours = [draw.choice(list(pictures.COLOURS)) for _ in names]
    prompts = [f"a photo of a {name} on a {colour} background" for name, colour in zip(names, colours, strict=True)]
    texts = scorer.text_features(prompts)
    negative = encode_prompts(model, [""], {})
    first, right, rows = [], [], []
    for index, (prompt, colour) in enumerate(zip(prompts, colours, strict=True)):
        made = model.generate(encode_prompts(model, [prompt], {}), negative, SAMPLING, range(SEEDS))
        first += ((scorer.image_features(made) @ texts.T).argmax(dim=1) == index).tolist()
        right += [ground_colour(picture) == colour for picture in made]
        rows.append((prompt.removeprefix("a photo of a ").removesuffix(" background"), row_of(made, pictures.SIZE)))
    columns = [contact_sheet(rows[start : start + 10], pictures.SIZE) for start in range(0, PROMPTS, 10)]
    return float(np.mean(first)), float(np.mean(right)), side_by_side(columns)


def measure(work: Path) -> None:
    """Write the figures into the model card, and the pictures they were measured on into docs."""
    model, scorer = load_model(builtin.CHECKPOINT), ClipScorer.builtin()
    first, right, sheet = following(model, scorer, work)
    rows: list[list[object]] = [
        ["reconstruction PSNR of held-out pictures", f"{reconstruction(model, work):.1f} dB", "22 dB"],
        ["retrieval top-1 among 200 seen objects", f"{retrieval(scorer, work):.0%}", "60%"],
        ["generated pictures whose prompt CLIP ranks first of 50", f"{first:.0%}", "50%"],
        ["generated pictures with the asked background colour", f"{right:.0%}", "80%"],
    ]
    figures = table(["What", "Measured", "Aim"], rows)
    print(figures)
    write_section(CARD, "figures", figures)
    write_section(CARD, "training", table(["Part", "Steps", "Minutes on one or two cores"], trained(work)))
    sheet.save(ROOT / "docs" / "generated.png", optimize=True)


def trained(work: Path) -> list[list[object]]:
    """How long each part was trained."""
    rows: list[list[object]] = []
    for name in ("vae", "clip", "clip-images", "clip-text", "unet"):
        if (work / f"{name}.pt").exists():
            saved = torch.load(work / f"{name}.pt", weights_only=True, mmap=True)
            rows.append([name, saved["step"], round(saved["seconds"] / 60)])
    return rows
