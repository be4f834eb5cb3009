"""One generation of the WebUI with chosen layers: which texts it encodes with which, and what it says of that.

Nothing of the WebUI is changed but the object of the one generation, `p`, and that only while something is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from modules import prompt_parser, shared

from ..text.layer_choice import (
    NETWORK,
    PLACES,
    EncoderLayers,
    LayerChoice,
    Told,
    choose,
    said_by_words,
    said_in_prompts,
    tags_in,
    tags_of_hires,
    that_fits,
    without_tags,
)
from ..text.layer_infotext import KEYS, NOTE_KEY, WEBUI_KEY, infotext_of
from ..text.layer_panel import OF_CHECKPOINT, OF_WORDS, SOURCES, PanelSays
from .clip_skip_encoding import check_layers, layers_of_setting, reading_with
from .clip_skip_table import checkpoint_layers
from .clip_skip_words import clip_skips_of_words

PANEL, AXES, IN_FORCE = "pseudoword_clip_skip_panel", "pseudoword_clip_skip_axes", "pseudoword_clip_skip"
CONDS = "get_conds_with_caching"
ALL_KEYS = (WEBUI_KEY, NOTE_KEY, *KEYS.values())


def begin(p: Any, panel: PanelSays) -> None:
    """Remember what the panel says for the generation `p`, which begins; nothing is left of one before."""
    forget(p)
    for place, text in getattr(p, AXES, {}).items():
        panel = panel.with_field(place, text)
    if panel.is_on:
        setattr(p, PANEL, panel)


def forget(p: Any) -> None:
    """Let `p` be as the WebUI made it."""
    for name in (PANEL, IN_FORCE, CONDS):
        vars(p).pop(name, None)
    for key in ALL_KEYS:
        if isinstance(p.extra_generation_params.get(key), InfotextValue):
            del p.extra_generation_params[key]


def take_hold(p: Any) -> None:
    """Let the batch of `p` that comes next be encoded as chosen, if anything is chosen for it."""
    in_force: LayersInForce | None = vars(p).get(IN_FORCE)
    if in_force is not None and in_force.p is p:
        return
    vars(p).pop(CONDS, None)  # of another, which this is a copy of
    panel: PanelSays | None = vars(p).get(PANEL)
    if panel is None and not any(f"<{NETWORK}:" in prompt for prompt in prompts_of(p)):
        return
    in_force = LayersInForce(p, panel or PanelSays())
    setattr(p, IN_FORCE, in_force)
    setattr(p, CONDS, in_force.conds)
    for key in ALL_KEYS:
        p.extra_generation_params[key] = InfotextValue(key)


def prompts_of(p: Any) -> Iterable[str]:
    """Every text that `p` may encode, with its tags."""
    for name in ("all_prompts", "all_negative_prompts", "all_hr_prompts", "all_hr_negative_prompts"):
        yield from getattr(p, name, None) or ()
    for name in ("extra_network_data", "hr_extra_network_data"):  # what another extension wrote into a batch's prompts
        if NETWORK in (getattr(p, name, None) or {}):
            yield f"<{NETWORK}:>"


class InfotextValue:
    """What a key of the infotext says of one picture, asked for by the WebUI when it writes it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, p: Any, prompt_text: str, negative_prompt: str, **_: Any) -> str | None:
        in_force: LayersInForce | None = vars(p).get(IN_FORCE)
        return None if in_force is None else in_force.infotext(prompt_text, negative_prompt).get(self._key)


class BatchTexts:
    """The prompts of one batch, with their tags, by place; and the layers that they were encoded with."""

    def __init__(self, p: Any) -> None:
        batch = slice(p.iteration * p.batch_size, (p.iteration + 1) * p.batch_size)
        found = {
            "prompt": p.all_prompts,
            "negative": p.all_negative_prompts,
            "hires": getattr(p, "all_hr_prompts", None),
            "hires_negative": getattr(p, "all_hr_negative_prompts", None),
        }
        self.texts: dict[str, list[str]] = {place: list((texts or [])[batch]) for place, texts in found.items()}
        self.used: dict[str, list[EncoderLayers | None]] = {}
        net = shared.sd_model  # not a refiner, which is loaded later
        self.setting = int(shared.opts.CLIP_stop_at_last_layers)
        self.layers_of_setting = layers_of_setting(net)
        self.setting_says_all = bool(net.is_sd1)

    def text(self, place: str, at: int) -> str:
        """One of them; of a list that another extension made shorter, nothing."""
        texts = self.texts[place]
        return texts[at] if at < len(texts) else ""

    def place_of(self, prompt: str, negative: str) -> int | None:
        """Where this pair stands in the batch."""
        pairs = list(zip(self.texts["prompt"], self.texts["negative"], strict=False))
        return pairs.index((prompt, negative)) if (prompt, negative) in pairs else None


class LayersInForce:
    """What is chosen for the generation `p`, and what was really used in it."""

    def __init__(self, p: Any, panel: PanelSays) -> None:
        self.p = p
        self._panel = panel
        self._conds = p.get_conds_with_caching
        self._batches: dict[int, BatchTexts] = {}
        self._notes: list[str] = []

    def conds(
        self,
        function: Callable[..., Any],
        required_prompts: Any,
        steps: int,
        caches: list[list[Any]],
        extra_network_data: Any,
        hires_steps: int | None = None,
    ) -> Any:
        """In the place of `p.get_conds_with_caching`: the same, with the layers that are chosen for each prompt."""
        place = PLACES[2 * (hires_steps is not None) + getattr(required_prompts, "is_negative_prompt", False)]
        batch = self._batch()
        data = extra_network_data or {}
        layers = [self._layers(place, batch, at, data, steps) for at in range(len(required_prompts))]
        batch.used.setdefault(place, layers)  # a refiner, which encodes anew, reads what the first model read
        parts = []
        for some in {each.text if each else "": each for each in layers}.values():
            places = [at for at, each in enumerate(layers) if each == some]
            prompts = prompt_parser.SdConditioning(
                [without_tags(required_prompts[at]) for at in places], copy_from=required_prompts
            )
            made = self._encoded(some, function, prompts, steps, caches, extra_network_data, hires_steps)
            parts.append((places, made))
        return parts[0][1] if len(parts) == 1 else together(parts, len(layers))

    def _batch(self) -> BatchTexts:
        now = BatchTexts(self.p)
        known = self._batches.setdefault(self.p.iteration, now)
        if known.texts != now.texts:  # the same object generates another time
            known = self._batches[self.p.iteration] = now
        return known

    def _encoded(
        self, layers: EncoderLayers | None, function: Any, prompts: Any, steps: int, caches: Any, data: Any, hires: Any
    ) -> Any:
        if layers is None:
            return self._conds(function, prompts, steps, caches, data, hires)
        # The WebUI's cache asks whether these are the same as before; so what was encoded with others is never taken.
        told_to_cache = (data, f"{NETWORK}:{layers.text}")
        with reading_with(shared.sd_model, layers):
            return self._conds(function, prompts, steps, caches, told_to_cache, hires)

    def _layers(
        self, place: str, batch: BatchTexts, at: int, data: Mapping[str, Any], steps: int
    ) -> EncoderLayers | None:
        """What one prompt is encoded with, None for the WebUI's setting; what cannot be is noted."""
        net = shared.sd_model
        in_prompts = self._said_in_prompts(place, batch, at, data)
        by_panel = self._said_by_panel(place, batch, at, steps)
        self._note(*in_prompts.warnings, *by_panel.warnings)
        layers, problem = that_fits(
            choose(place, [in_prompts.choice, by_panel.choice]), lambda chosen: check_layers(net, chosen)
        )
        if problem:
            self._note(problem)
        if layers is None or layers.clip_g is None or net.is_sdxl:
            return layers
        self._note(f"{layers.text} is for two text encoders; this model has one, and reads with {layers.blend.text}.")
        return EncoderLayers(layers.blend)

    def _said_in_prompts(self, place: str, batch: BatchTexts, at: int, data: Mapping[str, Any]) -> Told:
        if self.p.disable_extra_networks:
            return Told()
        is_hires = place.startswith("hires")
        tags = {name: tags_in(batch.text(name, at)) for name in PLACES}
        if at == 0:  # as the WebUI read it, after whatever other extensions wrote into it
            first = [":".join(map(str, one.items)) for one in data.get(NETWORK, ())]
            tags["hires" if is_hires else "prompt"] = first
        if not is_hires:
            return said_in_prompts(tags["prompt"], tags["negative"])
        return said_in_prompts(
            tags_of_hires(tags["prompt"], tags["hires"]), tags_of_hires(tags["negative"], tags["hires_negative"])
        )

    def _said_by_panel(self, place: str, batch: BatchTexts, at: int, steps: int) -> Told:
        panel = self._panel
        if not panel.is_on:
            return Told()
        if panel.source == OF_WORDS:
            prompt, negative = ("hires", "hires_negative") if place.startswith("hires") else ("prompt", "negative")
            return self._said_by_words(batch.text(prompt, at), batch.text(negative, at), steps)
        if panel.source == OF_CHECKPOINT:
            return self._said_by_checkpoint
        if panel.source not in SOURCES:
            return Told(LayerChoice(), (f"CLIP skip cannot come from {panel.source!r}; choose one of {SOURCES}.",))
        return panel.written

    def _said_by_words(self, prompt: str, negative: str, steps: int) -> Told:
        if not hasattr(shared.sd_model.cond_stage_model, "process_texts"):
            return Told()
        in_prompt, in_negative = (clip_skips_of_words(shared.sd_model, text, steps) for text in (prompt, negative))
        if not in_prompt and not in_negative:
            return Told(LayerChoice(), ("No embedding in the prompts says how it was trained; CLIP skip is as set.",))
        return said_by_words(in_prompt, in_negative)

    @property
    def _said_by_checkpoint(self) -> Told:
        info = shared.sd_model.sd_checkpoint_info
        wanted = self._table.wanted(info.sha256)
        if wanted is None:
            return Told(LayerChoice(), (f"It is not known what {info.name_for_extra} wants; CLIP skip is as set.",))
        return Told(wanted.choice)

    @cached_property
    def _table(self) -> Any:
        return checkpoint_layers()

    def _note(self, *notes: str) -> None:
        for note in notes:
            if note not in self._notes:
                self._notes.append(note)
                self.p.comment(note)

    def infotext(self, prompt: str, negative: str) -> dict[str, str]:
        """The keys of the infotext of a picture of this prompt and negative prompt, as they were written."""
        found = [(batch, batch.place_of(prompt, negative)) for batch in reversed(self._batches.values())]
        batch, at = next(((batch, at) for batch, at in found if at is not None), (found[0][0] if found else None, 0))
        if batch is None:  # nothing was encoded yet
            batch = BatchTexts(self.p)
        used = {name: each[at] for name, each in batch.used.items() if at < len(each)}
        notes = {NOTE_KEY: " ".join(self._notes)} if self._notes else {}
        return infotext_of(used, batch.setting, batch.layers_of_setting, batch.setting_says_all) | notes


def together(parts: Sequence[tuple[list[int], Any]], count: int) -> Any:
    """What the WebUI makes of a batch of `count` prompts, from what it made of some of them at a time."""
    is_composed = isinstance(parts[0][1], prompt_parser.MulticondLearnedConditioning)
    conds: list[Any] = [None] * count
    for places, made in parts:
        for at, cond in zip(places, made.batch if is_composed else made, strict=True):
            conds[at] = cond
    return prompt_parser.MulticondLearnedConditioning(shape=(count,), batch=conds) if is_composed else conds
