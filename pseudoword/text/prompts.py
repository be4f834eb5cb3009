"""Prompts with new words in them, encoded into what the UNet is told."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import nullcontext
from itertools import accumulate, chain

import torch
from torch import Tensor

from ..diffusion import Conditioning, DiffusionModel, TextEncoder
from ..errors import ModelError
from .chunks import Chunk, chunk_prompt, framed
from .layers import LayerBlend, encode_blend

MOST_FIXED_CHUNKS = 256  # kept at once: 60 MB for Stable Diffusion 1.x


def encode_prompts(
    model: DiffusionModel,
    prompts: Sequence[str],
    words: Mapping[str, Mapping[str, Tensor]],
    clip_skip: int | LayerBlend = 1,
    fixed: MutableMapping[Chunk, Tensor] | None = None,
    least_chunks: int = 1,
) -> Conditioning:
    """Conditioning of `prompts`, with context (len(prompts), 77·chunks, D).

    `words` gives each new word's vectors (n, D) by the encoder's name; the word stands in a prompt in any case.
    Prompts of fewer chunks than the longest, or than `least_chunks`, are filled up with the empty chunk. Chunks that
    are equal are encoded once, and those without a new word once for all calls that share `fixed`, which is for one
    model and one `clip_skip`, a layer or a blend of layers, for which one pass is made, too.
    Gradients flow to the vectors of `words` where they require them. Raises ModelError for vectors that do not fit
    the model, SettingsError for a `clip_skip` without a layer.
    """
    if len(model.text_encoders) != 1:
        raise ModelError(
            f"{model.title} has {len(model.text_encoders)} text encoders; only models with one are supported yet."
        )
    encoder = model.text_encoders[0]
    vectors = {word: vectors_for(encoder, word, by_encoder) for word, by_encoder in words.items()}
    counts = {word: len(rows) for word, rows in vectors.items()}
    chunked = {prompt: chunk_prompt(prompt, encoder.tokenizer, counts) for prompt in dict.fromkeys(prompts)}
    longest = max([least_chunks, *map(len, chunked.values())])
    empty = framed([], encoder.tokenizer)
    filled = [chunked[prompt] + [empty] * (longest - len(chunked[prompt])) for prompt in prompts]

    places = {chunk: place for place, chunk in enumerate(dict.fromkeys(chain.from_iterable(filled)))}
    if fixed is None:
        states = encode_chunks(encoder, list(places), vectors, clip_skip)  # (unique chunks, 77, D)
    else:
        changing = [chunk for chunk in places if chunk.word_vectors]
        changed = encode_chunks(encoder, changing, vectors, clip_skip).unbind() if changing else ()
        found = dict(zip(changing, changed, strict=True))
        states = torch.stack(
            [found[c] if c in found else encode_fixed_chunk(encoder, c, clip_skip, fixed) for c in places]
        )
    order = torch.tensor([[places[chunk] for chunk in chunks] for chunks in filled], device=states.device)
    return Conditioning(states[order].flatten(1, 2))  # (B, chunks, 77, D) -> (B, 77·chunks, D)


def vectors_for(encoder: TextEncoder, word: str, by_encoder: Mapping[str, Tensor]) -> Tensor:
    """The vectors (n, D) of `word` for this encoder. Raises ModelError where there are none, or of another width."""
    width = encoder.vocabulary.shape[1]
    if encoder.name not in by_encoder:
        found = ", ".join(by_encoder) or "none"
        raise ModelError(
            f"The word {word!r} has vectors for {found}, but this model needs {encoder.name}; "
            f"load a model it was made for."
        )
    vectors = by_encoder[encoder.name]
    if vectors.ndim != 2 or vectors.shape[1] != width or not len(vectors):
        raise ModelError(
            f"The word {word!r} has vectors of shape {tuple(vectors.shape)}, but this model needs (n, {width}); "
            f"load a model it was made for."
        )
    return vectors


def encode_fixed_chunk(
    encoder: TextEncoder, chunk: Chunk, clip_skip: int | LayerBlend, fixed: MutableMapping[Chunk, Tensor]
) -> Tensor:
    """Hidden states (77, D) of a chunk without new words, from `fixed` or into it.

    Encoded alone and in the weights' own precision: so they are the same bits whatever else is encoded, and when.
    """
    if chunk not in fixed:
        device = encoder.vocabulary.device.type
        # On other devices, old versions of torch have no autocast that could be turned off.
        full = torch.autocast(device, enabled=False) if device in ("cpu", "cuda") else nullcontext()
        with torch.no_grad(), full:
            states = encode_chunks(encoder, [chunk], {}, clip_skip)[0]
        while len(fixed) >= MOST_FIXED_CHUNKS:  # captions whose tags are shuffled never come again
            del fixed[next(iter(fixed))]
        fixed[chunk] = states
    return fixed[chunk]


def encode_chunks(
    encoder: TextEncoder, chunks: Sequence[Chunk], vectors: Mapping[str, Tensor], clip_skip: int | LayerBlend
) -> Tensor:
    """Hidden states (len(chunks), 77, D), with `vectors` of new words in their places."""
    token_ids, inputs = chunk_inputs(encoder, chunks, vectors)
    if isinstance(clip_skip, LayerBlend):
        return encode_blend(encoder, token_ids, inputs, clip_skip)
    return encoder.encode(token_ids, inputs, clip_skip)


def chunk_inputs(encoder: TextEncoder, chunks: Sequence[Chunk], vectors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """What `encoder` takes for C chunks: token ids (C, 77), and input vectors (C, 77, D) with new words' in place."""
    vocabulary = encoder.vocabulary
    token_ids = torch.tensor([chunk.token_ids for chunk in chunks], device=vocabulary.device)  # (C, 77)
    inputs = vocabulary[token_ids].float()  # (C, 77, D)
    starts = dict(zip(vectors, accumulate((len(rows) for rows in vectors.values()), initial=0), strict=False))
    places = [
        (row, position, starts[word] + index)
        for row, chunk in enumerate(chunks)
        for position, word, index in chunk.word_vectors
    ]
    if places:
        table = torch.cat([rows.to(inputs) for rows in vectors.values()])  # (all vectors of all words, D)
        row, position, source = torch.tensor(places, device=inputs.device).unbind(dim=1)
        inputs = inputs.index_put((row, position), table[source])
    return token_ids, inputs
