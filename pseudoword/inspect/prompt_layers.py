"""What becomes of a prompt inside the text encoder, token by token and layer by layer.

As in `layers`, the final layer norm is applied to every layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..diffusion import TextEncoder
from ..errors import SettingsError
from ..text import chunk_prompt
from ..text.prompts import chunk_inputs, vectors_for
from .csv_text import Cell, csv_text
from .prompt_view import PieceView, view_prompt


@dataclass(frozen=True, eq=False)
class PromptLayers:
    """T tokens and vectors of a prompt in L layers of one text encoder; start, end and padding are left out.

    `chunks` (T,) says in which chunk each of `pieces` stands, counted from 0. `clip_skips` go from the first layer, L,
    to the last, which is 1. `norms` (L, T) are lengths of the hidden states, `to_last` (L, T) cosines of each with the
    same place's in the last layer. Both float64.
    """

    encoder: str
    prompt: str
    pieces: tuple[PieceView, ...]
    chunks: tuple[int, ...]
    clip_skips: tuple[int, ...]
    norms: Tensor
    to_last: Tensor


@torch.no_grad()
def prompt_layers(encoder: TextEncoder, prompt: str, words: Mapping[str, Mapping[str, Tensor]]) -> PromptLayers:
    """How each token of `prompt` goes through the layers of `encoder`; brackets in it are text.

    `words` gives each new word's vectors (n, D) by the encoder's name, as in `encode_prompts`. One pass through the
    encoder for each chunk. Raises ModelError for vectors that do not fit the model, SettingsError for a prompt without
    a token or of more than 20,000 characters.
    """
    vectors = {word: vectors_for(encoder, word, by_encoder) for word, by_encoder in words.items()}
    counts = {word: len(rows) for word, rows in vectors.items()}
    view = view_prompt(prompt, encoder.tokenizer, counts, attention=False)
    pieces = [(place, piece) for place, chunk in enumerate(view.chunks) for piece in chunk.pieces if _is_used(piece)]
    if not pieces:
        raise SettingsError("The prompt holds no token; write one such as 'a photo of a cat'.")
    said = {use.name: vectors[use.name] for use in view.words}
    chunks = chunk_prompt(view.prompt, encoder.tokenizer, {word: len(rows) for word, rows in said.items()})
    clip_skips = tuple(range(encoder.layer_count, 0, -1))
    norms, to_last = [], []
    for chunk, shown in zip(chunks, view.chunks, strict=True):
        # Chunk by chunk: all layers of a long prompt would take gigabytes.
        states = encoder.encode_layers(*chunk_inputs(encoder, [chunk], said), clip_skips)[:, 0]  # (L, 77, D)
        used = states.cpu()[:, [piece.position for piece in shown.pieces if _is_used(piece)]].double()
        norms.append(used.norm(dim=2))
        to_last.append(torch.cosine_similarity(used, used[-1:], dim=2))
    return PromptLayers(
        encoder.name,
        view.prompt,
        tuple(piece for _, piece in pieces),
        tuple(place for place, _ in pieces),
        clip_skips,
        torch.cat(norms, dim=1),
        torch.cat(to_last, dim=1),
    )


def _is_used(piece: PieceView) -> bool:
    return piece.number is not None


def prompt_layers_table(found: PromptLayers) -> str:
    """A row for each token and layer as CSV text, from the first layer to the last; positions are those of a chunk."""
    header = ["number", "chunk", "position", "text", "ends_word", "token_id", "vector"]
    header += ["layer", "clip_skip", "norm", "cosine_to_last"]
    norms, to_last = found.norms.T.tolist(), found.to_last.T.tolist()
    rows: list[Sequence[Cell]] = []
    for place, (chunk, piece) in enumerate(zip(found.chunks, found.pieces, strict=True)):
        vector = None if piece.vector is None else piece.vector + 1
        token: list[Cell] = [
            place + 1,
            chunk + 1,
            piece.position,
            piece.text,
            int(piece.ends_word),
            piece.token_id,
            vector,
        ]
        for layer, clip_skip in enumerate(found.clip_skips):
            rows.append([*token, layer + 1, clip_skip, norms[place][layer], to_last[place][layer]])
    return csv_text(header, rows)
