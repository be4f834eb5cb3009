"""Prompts with new words in them, encoded into what the UNet is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import accumulate, chain
from typing import TypeAlias

import torch
from torch import Tensor

from ..diffusion import Conditioning, DiffusionModel, TextEncoder
from ..errors import ModelError
from .chunks import Chunk, chunk_prompt, framed
from .layer_choice import EncoderLayers
from .layers import LayerBlend, encode_blend

Layers: TypeAlias = "int | LayerBlend | EncoderLayers"
# What chunks without new words were encoded to, by the text encoder's name, for what purpose, and the chunk.
Fixed: TypeAlias = "MutableMapping[tuple[str, str, Chunk], Tensor]"
Encode: TypeAlias = Callable[[TextEncoder, Sequence[Chunk], Mapping[str, Tensor]], "Tensor | None"]

MOST_FIXED_CHUNKS = 256  # kept at once: 60 MB for Stable Diffusion 1.x


def encode_prompts(
    model: DiffusionModel,
    prompts: Sequence[str],
    words: Mapping[str, Mapping[str, Tensor]],
    layers: Layers = 1,
    fixed: Fixed | None = None,
    least_chunks: int = 1,
) -> Conditioning:
    """Conditioning of `prompts`, with context (len(prompts), 77·chunks, D), and for SDXL pooled (len(prompts), P).

    `words` gives each new word's vectors (n, D) by the encoder's name; the word stands in a prompt in any case.
    Prompts of fewer chunks than the longest, or than `least_chunks`, are filled up with the empty chunk. Chunks that
    are equal are encoded once, and those without a new word once for all calls that share `fixed`, which is for one
    model and one choice of `layers`: a CLIP skip or a blend for all text encoders, or one for each. A blend takes one
    pass, too. SDXL's two encoders stand side by side in D, and what it is told of a whole text is that of the first
    chunk, whatever layers are read.
    Gradients flow to the vectors of `words` where they require them. Raises ModelError for vectors that do not fit
    the model, SettingsError for a layer that is not there.
    """
    contexts, pooled = [], None
    for encoder in model.text_encoders:
        vectors = {word: vectors_for(encoder, word, by_encoder) for word, by_encoder in words.items()}
        filled = fill_chunks(encoder, prompts, {word: len(rows) for word, rows in vectors.items()}, least_chunks)
        own_layers = layers.of(encoder.name) if isinstance(layers, EncoderLayers) else layers
        every = list(dict.fromkeys(chain.from_iterable(filled)))
        states = encode_once(encoder, every, vectors, partial(encode_chunks, layers=own_layers), "context", fixed)
        assert states is not None
        contexts.append(states[places_of(filled, every, states.device)].flatten(1, 2))  # (B, 77·chunks, D)
        first = list(dict.fromkeys(chunks[0] for chunks in filled))
        whole = encode_once(encoder, first, vectors, pool_chunks, "pooled", fixed)
        if whole is not None:
            pooled = whole[places_of([chunks[:1] for chunks in filled], first, whole.device)[:, 0]]
    return Conditioning(contexts[0] if len(contexts) == 1 else torch.cat(contexts, dim=2), pooled)


def encode_negative(
    model: DiffusionModel,
    prompt: str,
    words: Mapping[str, Mapping[str, Tensor]],
    layers: Layers = 1,
    fixed: Fixed | None = None,
) -> Conditioning:
    """Conditioning, of one row, of the negative `prompt`; see `encode_prompts`.

    SDXL learned to be told zeros where there is none (Podell et al., "SDXL", 2023), as the WebUI does.
    """
    told = encode_prompts(model, [prompt], words, layers, fixed)
    if model.architecture != "sdxl" or prompt or told.pooled is None:
        return told
    return Conditioning(torch.zeros_like(told.context), torch.zeros_like(told.pooled))


def fill_chunks(
    encoder: TextEncoder, prompts: Sequence[str], counts: Mapping[str, int], least_chunks: int
) -> list[list[Chunk]]:
    """The chunks of each of `prompts`, as many for all; `counts` are how many vectors each new word has."""
    chunked = {prompt: chunk_prompt(prompt, encoder.tokenizer, counts) for prompt in dict.fromkeys(prompts)}
    longest = max([least_chunks, *map(len, chunked.values())])
    empty = framed([], encoder.tokenizer)
    return [chunked[prompt] + [empty] * (longest - len(chunked[prompt])) for prompt in prompts]


def places_of(rows: Sequence[Sequence[Chunk]], among: Sequence[Chunk], device: torch.device) -> Tensor:
    """Where the chunks of each row stand among others, (rows, chunks)."""
    places = {chunk: place for place, chunk in enumerate(among)}
    return torch.tensor([[places[chunk] for chunk in row] for row in rows], device=device)


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


def encode_once(
    encoder: TextEncoder,
    chunks: Sequence[Chunk],
    vectors: Mapping[str, Tensor],
    encode: Encode,
    purpose: str,
    fixed: Fixed | None,
) -> Tensor | None:
    """What `encode` gives for `chunks`, (len(chunks), …), those without new words from `fixed` or into it."""
    if fixed is None:
        return encode(encoder, chunks, vectors)
    changing = [chunk for chunk in chunks if chunk.word_vectors]
    changed = encode(encoder, changing, vectors) if changing else None
    found = {} if changed is None else dict(zip(changing, changed.unbind(), strict=True))
    for chunk in chunks:
        if not chunk.word_vectors:
            known = encode_fixed_chunk(encoder, chunk, encode, (encoder.name, purpose, chunk), fixed)
            if known is not None:
                found[chunk] = known
    return torch.stack([found[chunk] for chunk in chunks]) if found else None


def encode_fixed_chunk(
    encoder: TextEncoder, chunk: Chunk, encode: Encode, key: tuple[str, str, Chunk], fixed: Fixed
) -> Tensor | None:
    """What `encode` gives for a chunk without new words, from `fixed` or into it.

    Encoded alone and in the weights' own precision: so they are the same bits whatever else is encoded, and when.
    """
    if key not in fixed:
        device = encoder.vocabulary.device.type
        # On other devices, old versions of torch have no autocast that could be turned off.
        full = torch.autocast(device, enabled=False) if device in ("cpu", "cuda") else nullcontext()
        with torch.no_grad(), full:
            states = encode(encoder, [chunk], {})
        if states is None:
            return None
        while len(fixed) >= MOST_FIXED_CHUNKS:  # captions whose tags are shuffled never come again
            del fixed[next(iter(fixed))]
        fixed[key] = states[0]
    return fixed[key]


def encode_chunks(
    encoder: TextEncoder, chunks: Sequence[Chunk], vectors: Mapping[str, Tensor], layers: int | LayerBlend
) -> Tensor:
    """Hidden states (len(chunks), 77, D), with `vectors` of new words in their places."""
    token_ids, inputs = chunk_inputs(encoder, chunks, vectors)
    if isinstance(layers, LayerBlend):
        return encode_blend(encoder, token_ids, inputs, layers)
    return encoder.encode(token_ids, inputs, layers)


def pool_chunks(encoder: TextEncoder, chunks: Sequence[Chunk], vectors: Mapping[str, Tensor]) -> Tensor | None:
    """What the UNet is told of whole chunks, (len(chunks), P), besides their states; see `TextEncoder.pool`."""
    return encoder.pool(*chunk_inputs(encoder, chunks, vectors))


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
