"""Lists of layers to compare, as people write them: `all`, `1-4`, `1, 2, 3`, `1; 2; 1=0.5,2=0.5`."""

from __future__ import annotations

import re

from ..errors import SettingsError
from .layers import LayerBlend, parse_blend

ALL = "all"
MOST_CHARACTERS = 2_000
_RANGE = re.compile(r"([0-9]{1,4})\s*[-\u2013]\s*([0-9]{1,4})")


def layer_list(text: str, layer_count: int) -> list[LayerBlend]:
    """The choices that `text` lists for an encoder of `layer_count` layers, each once, in its order; all where empty.

    Choices are separated by semicolons, and single layers by commas, too; `1-4` is a range. Raises SettingsError for
    what is no list, and for a layer that there is not.
    """
    if len(text) > MOST_CHARACTERS:
        raise SettingsError(f"A list of layers has at most {MOST_CHARACTERS:,} characters, and this has {len(text):,}.")
    entries = [entry.strip() for entry in text.split(";") if entry.strip()] or [ALL]
    found: dict[LayerBlend, None] = {}
    for entry in entries:
        for blend in [parse_blend(entry)] if "=" in entry else _single_layers(entry, layer_count):
            missing = next((skip for skip in blend.clip_skips if skip > layer_count), None)
            if missing is not None:
                raise SettingsError(
                    f"There is no layer {missing}: the text encoder has {layer_count}, counted back from the last."
                )
            found[blend] = None
    return list(found)


def _single_layers(entry: str, layer_count: int) -> list[LayerBlend]:
    blends: list[LayerBlend] = []
    for part in (part.strip() for part in entry.split(",")):
        between = _RANGE.fullmatch(part)
        if part.lower() == ALL:
            blends += [LayerBlend(((skip, 1.0),)) for skip in range(1, layer_count + 1)]
        elif between is not None:
            first, last = sorted((int(between[1]), int(between[2])))
            blends += [parse_blend(str(skip)) for skip in range(first, max(first, min(last, layer_count + 1)) + 1)]
        else:
            blends.append(parse_blend(part))
    return blends
