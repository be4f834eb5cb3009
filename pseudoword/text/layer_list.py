"""Lists of layers to compare, as people write them: `all`, `1-4`, `1, 2, 3`, `1; 2; 1=0.5,2=0.5`, for SDXL `2/1`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import SettingsError
from .layer_choice import EncoderLayers, one_layer, parse_layers

ALL = "all"
MOST_CHARACTERS = 2_000
_RANGE = re.compile(r"([0-9]{1,4})\s*[-\u2013]\s*([0-9]{1,4})")


def layer_list(text: str, layer_counts: Sequence[int]) -> list[EncoderLayers]:
    """The choices that `text` lists for text encoders of `layer_counts` layers, each once, in its order; all if empty.

    Choices are separated by semicolons, and single layers by commas, too; `1-4` is a range. Raises SettingsError for
    what is no list, and for a layer that there is not.
    """
    if len(text) > MOST_CHARACTERS:
        raise SettingsError(f"A list of layers has at most {MOST_CHARACTERS:,} characters, and this has {len(text):,}.")
    entries = [entry.strip() for entry in text.split(";") if entry.strip()] or [ALL]
    found: dict[EncoderLayers, None] = {}
    for entry in entries:
        for layers in [parse_layers(entry)] if "=" in entry or "/" in entry else _single(entry, min(layer_counts)):
            _check(layers, layer_counts)
            found[layers] = None
    return list(found)


def _check(layers: EncoderLayers, layer_counts: Sequence[int]) -> None:
    if layers.clip_g is not None and len(layer_counts) == 1:
        raise SettingsError(f"{layers.text} names layers of two text encoders, and the model has one; leave out one.")
    for blend, count in zip((layers.blend, layers.clip_g or layers.blend), layer_counts, strict=False):
        missing = next((skip for skip in blend.clip_skips if skip > count), None)
        if missing is not None:
            raise SettingsError(
                f"There is no layer {missing}: the text encoder has {count}, counted back from the last."
            )


def _single(entry: str, layer_count: int) -> list[EncoderLayers]:
    choices: list[EncoderLayers] = []
    for part in (part.strip() for part in entry.split(",")):
        between = _RANGE.fullmatch(part)
        if part.lower() == ALL:
            choices += [one_layer(skip) for skip in range(1, layer_count + 1)]
        elif between is not None:
            first, last = sorted((int(between[1]), int(between[2])))
            choices += [one_layer(skip) for skip in range(first, max(first, min(last, layer_count + 1)) + 1)]
        else:
            choices.append(parse_layers(part))
    return choices
