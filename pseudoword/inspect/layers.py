"""What becomes of a word inside the text encoder, layer by layer: its states' lengths, and what they are like.

The final layer norm is applied to every layer, as Stable Diffusion 1 and 2 read it (SDXL reads its layer without); so
lengths say how it weighs a state's parts, and say little of the size that the state had before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..diffusion import TextEncoder
from ..embedding import Embedding
from ..errors import SettingsError
from ..text import chunk_prompt
from ..text.chunks import Chunk
from ..text.prompts import chunk_inputs, vectors_for

TEMPLATE = "a photo of {}"
COMPARISON = "cat"
# Stands in prompts for the word, whatever that is called: no tokenizer and no template knows this character.
PLACE = "\ue000"


@dataclass(frozen=True, eq=False)
class LayerFigures:
    """A word of n vectors, and a known one, in L layers of one text encoder, in the same prompt otherwise.

    `clip_skips` go from the first layer, L, to the last, which is 1. `norms` (L, n) are lengths of the hidden states at
    the word's positions, `known_norms` (L,) their mean at the known word's. `to_last` (L, n) are cosines of each state
    with the same position's in the last layer, `to_known` (L, n) with the mean of the known word's states in the same
    layer. All float64.
    """

    encoder: str
    name: str
    prompt: str
    known: str
    clip_skips: tuple[int, ...]
    norms: Tensor
    known_norms: Tensor
    to_last: Tensor
    to_known: Tensor


@torch.no_grad()
def layer_figures(
    encoder: TextEncoder, embedding: Embedding, template: str = TEMPLATE, known: str = COMPARISON
) -> LayerFigures:
    """How `embedding` and the words `known` go through the layers of `encoder` where `template` has `{}`.

    One pass through the encoder for each of the two. Raises ModelError for an embedding of another model,
    SettingsError for a template without `{}` or a `known` without tokens.
    """
    check_template(template)
    tokens = encoder.tokenizer.tokenize(known)
    if not tokens:
        raise SettingsError(f"The word to compare with, {known!r}, holds no token; give one such as {COMPARISON!r}.")
    vocabulary = encoder.vocabulary
    known_vectors = vocabulary[torch.tensor(tokens, device=vocabulary.device)].float()
    vectors = vectors_for(encoder, embedding.name, embedding.vectors)
    clip_skips = tuple(range(encoder.layer_count, 0, -1))
    own = states_at_word(encoder, template, vectors, clip_skips)  # (L, n, D)
    theirs = states_at_word(encoder, template, known_vectors, clip_skips)  # (L, tokens, D)
    return LayerFigures(
        encoder.name,
        embedding.name,
        template.replace("{}", embedding.name),
        known,
        clip_skips,
        own.norm(dim=2),
        theirs.norm(dim=2).mean(dim=1),
        torch.cosine_similarity(own, own[-1:], dim=2),
        torch.cosine_similarity(own, theirs.mean(dim=1, keepdim=True), dim=2),
    )


def check_template(template: str) -> None:
    """Raise SettingsError unless `template` has `{}` once."""
    if template.count("{}") != 1:
        raise SettingsError(f"The template {template!r} has {{}} {template.count('{}')} times; write it once.")


def states_at_word(encoder: TextEncoder, template: str, vectors: Tensor, clip_skips: Sequence[int]) -> Tensor:
    """Hidden states (len(clip_skips), n, D), float64 on the CPU, at the positions of `vectors` (n, D) in `template`."""
    words = {PLACE: vectors}
    chunks = with_word(chunk_prompt(template.replace("{}", PLACE), encoder.tokenizer, {PLACE: len(vectors)}))
    where = [(row, position) for row, chunk in enumerate(chunks) for position, _, _ in chunk.word_vectors]
    row, position = torch.tensor(where).unbind(dim=1)
    states = encoder.encode_layers(*chunk_inputs(encoder, chunks, words), clip_skips)  # (L, chunks, 77, D)
    return states.cpu()[:, row, position].double()


def with_word(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Those of `chunks` that a word's vectors stand in; the others change nothing in them."""
    return [chunk for chunk in chunks if chunk.word_vectors]
