"""The layers that the studio and the command line read prompts with: what they say, else their words and the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...diffusion import DiffusionModel
from ...embedding import Embedding
from ...text.layer_choice import EncoderLayers, LayerChoice, choose, one_layer, said_in_prompts, tags_in
from ..library.words import clip_skip_of
from .checkpoint_layers import CheckpointLayers


@dataclass(frozen=True)
class LayersOfPrompts:
    """Those of a prompt and of its negative prompt, and sentences about what could not be followed in them."""

    prompt: EncoderLayers
    negative: EncoderLayers
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Both as a person reads them."""
        return (
            self.prompt.text if self.prompt == self.negative else f"{self.prompt.text}, negative {self.negative.text}"
        )


def layers_of_prompts(prompt: str, negative: str, otherwise: LayerChoice, model: DiffusionModel) -> LayersOfPrompts:
    """What `<clipskip:…>` in the prompts says, where it says something, else `otherwise`, else the last layer."""
    told = said_in_prompts(tags_in(prompt), tags_in(negative))

    def chosen(place: str) -> EncoderLayers:
        layers = choose(place, [told.choice, otherwise]) or one_layer(1)
        # What is said of SDXL's CLIP-G is nothing to a model without.
        return layers if len(model.text_encoders) > 1 else EncoderLayers(layers.blend)

    return LayersOfPrompts(chosen("prompt"), chosen("negative"), told.warnings)


def layers_for(table: CheckpointLayers | None, model: DiffusionModel, words: Sequence[Embedding]) -> LayerChoice:
    """The layers for prompts with `words`: those they were trained with, else those that the checkpoint wants."""
    trained_with = clip_skip_of(words) if words else None
    if trained_with is not None:
        return LayerChoice(one_layer(trained_with))
    wanted = None if table is None else table.wanted(model.sha256)
    return LayerChoice() if wanted is None else wanted.choice
