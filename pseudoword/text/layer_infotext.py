"""What a picture's infotext says about layers, and what the panel reads from it again."""

from __future__ import annotations

from collections.abc import Mapping

from .layer_choice import PLACES, TAKES_FROM, EncoderLayers

WEBUI_KEY = "Clip skip"
NOTE_KEY = "Clip skip note"
KEYS = {
    "prompt": "Clip skip prompt",
    "negative": "Clip skip negative prompt",
    "hires": "Clip skip hires",
    "hires_negative": "Clip skip hires negative prompt",
}


def infotext_of(
    used: Mapping[str, EncoderLayers | None], setting: int, webui: EncoderLayers | None, setting_says_all: bool
) -> dict[str, str]:
    """The keys for a picture whose texts were read with `used`, by place, where None is the WebUI's own `setting`.

    `webui` are the layers that the setting comes to, None where that cannot be said; `setting_says_all` is whether
    another setting would have given the same picture: so it is for Stable Diffusion 1 when all texts use one layer.
    Then the WebUI's own key says it, as in a picture that was made without this extension. Otherwise that key tells
    the setting, and keys of our own whatever differs from it.
    """
    shown = {} if setting <= 1 else {WEBUI_KEY: str(setting)}
    really = {place: layers or webui for place, layers in used.items()}
    single = _single_layer(really)
    if setting_says_all and single is not None:
        return {} if single == 1 else {WEBUI_KEY: str(single)}
    told: dict[str, EncoderLayers | None] = {}
    for place in [place for place in PLACES if place in used]:
        # What the panel would make of the keys so far, were there no key for this place.
        without = next((told[other] for other in TAKES_FROM[place] if told.get(other) is not None), None)
        if used[place] is None and without is None:
            continue
        layers = really[place]
        if layers is not None and (without is None or layers.text != without.text):
            told[place] = layers
    return shown | {KEYS[place]: layers.text for place, layers in told.items() if layers is not None}


def _single_layer(used: Mapping[str, EncoderLayers | None]) -> int | None:
    texts = {None if layers is None else layers.text for layers in used.values()}
    only = texts.pop() if len(texts) == 1 else None
    return int(only) if only is not None and only.isdigit() else None


def fields_of(infotext: Mapping[str, str]) -> dict[str, str]:
    """What the panel's fields show of an infotext that was taken apart, by place; empty where it says nothing."""
    return {place: str(infotext.get(key, "")) for place, key in KEYS.items()}
