"""Which layers a generation uses: what its prompts say, the panel, the checkpoint and the embeddings, put together."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import SettingsError
from .layers import LayerBlend, parse_blend

NETWORK = "clipskip"
TAG = re.compile(rf"<{NETWORK}:([^>]+)>")
NEGATIVE, HIRES = "negative", "hires"
# The four texts that a generation encodes, and whose layers each of them takes where nothing is said of it.
TAKES_FROM = {
    "prompt": ("prompt",),
    "negative": ("negative", "prompt"),
    "hires": ("hires", "prompt"),
    "hires_negative": ("hires_negative", "negative", "hires", "prompt"),
}
PLACES = tuple(TAKES_FROM)


@dataclass(frozen=True)
class EncoderLayers:
    """The layers of a model's text encoder; of SDXL's two, `blend` are CLIP-L's and `clip_g`, unless None, CLIP-G's.

    Whatever it is made from, `clip_g` then is None where both are read with the same.
    """

    blend: LayerBlend
    clip_g: LayerBlend | None = None

    def __post_init__(self) -> None:
        if self.clip_g == self.blend:
            object.__setattr__(self, "clip_g", None)

    @property
    def text(self) -> str:
        """The one form that `parse_layers` gives it back from: a blend, or two with a slash."""
        return self.blend.text if self.clip_g is None else f"{self.blend.text}/{self.clip_g.text}"

    @property
    def single(self) -> int | None:
        """The CLIP skip, where it is a single one for all text encoders."""
        return self.blend.clip_skips[0] if self.clip_g is None and len(self.blend.clip_skips) == 1 else None

    def of(self, encoder: str) -> LayerBlend:
        """Those of the encoder that is called so: `clip_l`, `clip_g` or `open_clip_h`."""
        return self.clip_g if self.clip_g is not None and encoder == "clip_g" else self.blend


def one_layer(clip_skip: int) -> EncoderLayers:
    """A single layer, of every encoder. Raises SettingsError for a number below 1."""
    return EncoderLayers(LayerBlend(((clip_skip, 1.0),)))


def parse_layers(text: str) -> EncoderLayers:
    """What `text` says: `2`, `1=0.5,2=0.5`, or for SDXL's two encoders apart `2/1`. Raises SettingsError."""
    blends = [parse_blend(part) for part in text.split("/", 2)]
    if len(blends) > 2:
        raise SettingsError(f"{text!r} names layers of {len(blends)} encoders; SDXL has two, CLIP-L/CLIP-G.")
    return EncoderLayers(*blends)


@dataclass(frozen=True)
class LayerChoice:
    """What somebody says about the layers of each text; None is nothing."""

    prompt: EncoderLayers | None = None
    negative: EncoderLayers | None = None
    hires: EncoderLayers | None = None
    hires_negative: EncoderLayers | None = None

    def of(self, place: str) -> EncoderLayers | None:
        """What that comes to for one of `PLACES`: the negative prompt is read as the prompt unless more is said, …"""
        said: list[EncoderLayers | None] = [getattr(self, other) for other in TAKES_FROM[place]]
        return next((layers for layers in said if layers is not None), None)


@dataclass(frozen=True)
class Told:
    """A choice, and sentences about what could not be followed in it."""

    choice: LayerChoice = LayerChoice()
    warnings: tuple[str, ...] = ()


def choose(place: str, in_order: Sequence[LayerChoice]) -> EncoderLayers | None:
    """The layers of a text, by the first of `in_order` that says something of it; None is the WebUI's setting."""
    said = [choice.of(place) for choice in in_order]
    return next((layers for layers in said if layers is not None), None)


# ---- prompts ---------------------------------------------------------------------------------------------------------


def tags_in(prompt: str) -> list[str]:
    """What stands in the `<clipskip:…>` of `prompt`, after the colon."""
    return TAG.findall(prompt)


def without_tags(prompt: str) -> str:
    """`prompt` as the text encoder is to read it."""
    return TAG.sub("", prompt)


def said_in_prompts(tags: Sequence[str], negative_tags: Sequence[str]) -> Told:
    """What the tags of a prompt and of its negative prompt say; of several that contradict each other, the first."""
    said: dict[str, tuple[str, EncoderLayers]] = {}
    warnings = []
    for tag, is_in_negative in [*((tag, False) for tag in tags), *((tag, True) for tag in negative_tags)]:
        try:
            place, layers = _parse_tag(tag, is_in_negative)
        except SettingsError as problem:
            warnings.append(f"<{NETWORK}:{tag}> is not followed: {problem}")
            continue
        first, chosen = said.setdefault(place, (tag, layers))
        if chosen != layers:
            warnings.append(f"<{NETWORK}:{tag}> contradicts <{NETWORK}:{first}>, which stands first and is followed.")
    return Told(LayerChoice(**{place: layers for place, (_, layers) in said.items()}), tuple(warnings))


def tags_of_hires(tags: Sequence[str], hires_tags: Sequence[str]) -> list[str]:
    """The tags that count in the hires pass: those of its own prompt, and those of the prompt that say `hires`."""
    return [*hires_tags, *(tag for tag in tags if tag not in hires_tags and HIRES in _words_of(tag))]


def _words_of(tag: str) -> list[str]:
    return [word.strip().lower() for word in tag.split(":")[1:]]


def _parse_tag(tag: str, is_in_negative: bool) -> tuple[str, EncoderLayers]:
    words = _words_of(tag)
    unknown = next((word for word in words if word not in (NEGATIVE, HIRES)), None)
    if unknown is not None:
        raise SettingsError(f"{unknown!r} is not a place; write {NEGATIVE}, {HIRES} or nothing after the layers.")
    is_negative = is_in_negative or NEGATIVE in words
    place = {(False, False): "prompt", (True, False): "negative", (False, True): "hires"}
    return place.get((is_negative, HIRES in words), "hires_negative"), parse_layers(tag.split(":")[0])


# ---- the panel, and embeddings ---------------------------------------------------------------------------------------


def said_in_fields(fields: Mapping[str, str], names: Mapping[str, str]) -> Told:
    """What the panel's `fields` say, texts by place, empty for nothing; `names` are what warnings call them."""
    said: dict[str, EncoderLayers] = {}
    warnings = []
    for place, text in fields.items():
        if text.strip():
            try:
                said[place] = parse_layers(text)
            except SettingsError as problem:
                warnings.append(f"CLIP skip, {names[place]}: {problem}")
    return Told(LayerChoice(**said), tuple(warnings))


def said_by_words(in_prompt: Mapping[str, int], in_negative: Mapping[str, int]) -> Told:
    """What embeddings were trained with, by name in the order of the prompt; where they disagree, the first."""
    warnings = []
    said: dict[str, EncoderLayers] = {}
    for place, name, words in (("prompt", "prompt", in_prompt), ("negative", "negative prompt", in_negative)):
        if not words:
            continue
        first, clip_skip = next(iter(words.items()))
        if len(set(words.values())) > 1:
            each = ", ".join(f"{word} with {skip}" for word, skip in words.items())
            warnings.append(
                f"The embeddings in the {name} were trained with different CLIP skips ({each}); "
                f"{clip_skip} is used, as {first} stands first."
            )
        try:
            said[place] = one_layer(clip_skip)
        except SettingsError as problem:
            warnings.append(f"The embedding {first} says that it was trained with CLIP skip {clip_skip}: {problem}")
    return Told(LayerChoice(**said), tuple(warnings))


def that_fits(
    layers: EncoderLayers | None, check: Callable[[EncoderLayers], None]
) -> tuple[EncoderLayers | None, str | None]:
    """`layers` if `check` raises no SettingsError for them, else None and why; the generation goes on in any case."""
    if layers is not None:
        try:
            check(layers)
        except SettingsError as problem:
            return None, f"{problem} The WebUI's own setting is used instead."
    return layers, None
