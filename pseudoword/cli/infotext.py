"""What a picture was made from, in the text that AUTOMATIC1111 puts into its PNG files and reads back."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image, PngImagePlugin

import pseudoword

from ..diffusion import DiffusionModel, Sampling
from ..text.layer_choice import EncoderLayers, one_layer
from ..text.layer_infotext import infotext_of

SAMPLER = {"Sampler": "DPM++ 2M", "Schedule type": "Karras"}  # what `StandaloneModel.generate` is called there


@dataclass(frozen=True)
class Recipe:
    """All that decides how a picture looks, but for its seed; `words` gives the short hashes of the words it uses.

    Where there are no `negative_layers` the negative prompt is read as the prompt.
    """

    prompt: str
    negative: str
    sampling: Sampling
    layers: EncoderLayers = field(default_factory=lambda: one_layer(1))
    words: Mapping[str, str] = field(default_factory=dict)
    negative_layers: EncoderLayers | None = None


def infotext(recipe: Recipe, seed: int, model: DiffusionModel) -> str:
    """The text of one picture: prompt, negative prompt, and a line of keys and values."""
    sampling = recipe.sampling
    facts: dict[str, object] = {
        "Steps": sampling.steps,
        **SAMPLER,
        "CFG scale": f"{sampling.guidance:g}",
        "Seed": seed,
        "Size": f"{sampling.width}x{sampling.height}",
        "Model hash": model.sha256[:10],
        "Model": model.title,
    }
    used = {"prompt": recipe.layers, "negative": recipe.negative_layers or recipe.layers}
    facts |= infotext_of(used, 1, one_layer(1), setting_says_all=True)
    if recipe.words:
        facts["TI hashes"] = ", ".join(f"{name}: {short_hash}" for name, short_hash in recipe.words.items())
    facts["Version"] = f"Pseudoword {pseudoword.__version__}"
    lines = [recipe.prompt]
    lines += [f"Negative prompt: {recipe.negative}"] if recipe.negative else []
    lines.append(", ".join(f"{key}: {_quoted(str(value))}" for key, value in facts.items()))
    return "\n".join(lines)


def png_with_text(picture: Image.Image, text: str) -> bytes:
    """`picture` as a PNG file with `text` as its "parameters"."""
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", text)
    file = io.BytesIO()
    picture.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ",:\n") else value
