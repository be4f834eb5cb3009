"""Where the vectors are in what a file holds: the layouts of A1111, diffusers, kohya and the SDXL trainers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pseudoword.embedding.embedding import Embedding, encoder_of_width, why_not_vectors
from pseudoword.embedding.metadata import NAME_KEY, EmbeddingMetadata, metadata_from_strings, metadata_to_strings
from pseudoword.embedding.names import MAX_NAME_LENGTH
from pseudoword.embedding.stored_tensor import StoredTensor, load_vectors
from pseudoword.embedding.torch_file import parameters_of
from pseudoword.errors import EmbeddingFileError

ENCODER_KEYS = {
    "clip_l": "clip_l",
    "clip_g": "clip_g",
    "clip_h": "open_clip_h",
    "open_clip_h": "open_clip_h",
    "text_encoders_0": "clip_l",
    "text_encoders_1": "clip_g",
}
"""Keys that name a text encoder, as ComfyUI and the SDXL trainers use them."""
KEY_OF_ENCODER = {"clip_l": "clip_l", "clip_g": "clip_g", "open_clip_h": "clip_h"}

METADATA_KEY = "pseudoword"
"""Where our metadata is in forms that have no place for any."""

_NOT_A_NAME = {"emb_params", "string_to_param", "string_to_token", "*", "__metadata__", *ENCODER_KEYS}
_A1111_TOKEN = 265  # the token of "*" in CLIP's vocabulary; nobody reads it


def embedding_from(content: object, metadata: Mapping[str, str], stem: str) -> Embedding:
    """The embedding in `content`, a tree of plain values and StoredTensors; `stem` is its name if nothing says one.

    Raises EmbeddingFileError if it is something else, or if its vectors are unusable.
    """
    stored, token = _find_vectors(content)
    loaded: dict[str, Tensor] = {key: load_vectors(claim) for key, claim in stored.items()}
    vectors = {encoder_of_width(tensor.shape[1]) if key == "*" else key: tensor for key, tensor in loaded.items()}
    problem = why_not_vectors({key: tuple(tensor.shape) for key, tensor in vectors.items()})
    if problem is not None:
        raise EmbeddingFileError(problem)
    facts = content if isinstance(content, dict) else {}
    strings = {**_texts(facts.get(METADATA_KEY)), **metadata}
    name = next((n for n in (strings.get(NAME_KEY), facts.get("name"), token) if _is_name(n)), stem)
    return Embedding(str(name), vectors, _metadata(strings, facts))


def _metadata(strings: Mapping[str, str], facts: Mapping[str, Any]) -> EmbeddingMetadata:
    """The metadata, filled up with what A1111's own fields say."""
    found = metadata_from_strings(strings)
    step = facts.get("step")
    steps = int(step) if isinstance(step, (int, float)) and not isinstance(step, bool) and 0 <= step < 1e12 else None
    checkpoint, checkpoint_hash = facts.get("sd_checkpoint_name"), facts.get("sd_checkpoint")
    return replace(
        found,
        steps=found.steps if found.steps is not None else steps,
        trained_on=found.trained_on or (checkpoint if isinstance(checkpoint, str) else ""),
        trained_on_sha256=found.trained_on_sha256 or (checkpoint_hash if isinstance(checkpoint_hash, str) else ""),
    )


def named_tensors(embedding: Embedding, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The tensors, as numbers of `dtype`, under the keys that A1111, Forge, ComfyUI and diffusers all understand.

    One encoder: a single key, which is the word itself, since diffusers takes it for the word and the others don't look
    at it. Several: the encoders' names. One whose width would not tell it: the encoder's name too.
    """
    vectors = {encoder: tensor.to(dtype) for encoder, tensor in embedding.vectors.items()}
    if len(vectors) == 1:
        encoder, tensor = next(iter(vectors.items()))
        if encoder_of_width(tensor.shape[1]) == encoder:
            return {embedding.name if _is_name(embedding.name) else "emb_params": tensor}
    return {KEY_OF_ENCODER[encoder]: tensor for encoder, tensor in sorted(vectors.items(), reverse=True)}


def metadata_strings(embedding: Embedding) -> dict[str, str]:
    """What a file of `embedding` says about it, without the hash."""
    return metadata_to_strings(embedding.metadata, embedding.name, embedding.architecture)


def a1111_fields(embedding: Embedding, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """The fields of a file by A1111's own trainer, with tensors of `dtype`; nothing else where an encoder is named."""
    tensors = named_tensors(embedding, dtype)
    if tensors.keys() <= ENCODER_KEYS.keys():
        return dict(tensors)
    strings = metadata_strings(embedding)
    return {
        "string_to_token": {"*": _A1111_TOKEN},
        "string_to_param": {"*": next(iter(tensors.values()))},
        "name": embedding.name,
        "step": embedding.metadata.steps,
        "sd_checkpoint": strings.get("pseudoword.trained_on_sha256", "")[:10] or None,  # A1111's short form of the hash
        "sd_checkpoint_name": strings.get("pseudoword.trained_on"),
    }


def _find_vectors(content: object) -> tuple[dict[str, StoredTensor], str | None]:
    """StoredTensors by encoder, "*" where the width has to tell it, and the word as diffusers' files name it."""
    if isinstance(content, StoredTensor):
        return {"*": content}, None
    if not isinstance(content, dict):
        raise EmbeddingFileError("it holds neither a tensor nor a list of named ones; is it an embedding?")
    if "string_to_param" in content:
        return {"*": _only_word(parameters_of(content["string_to_param"]))}, None
    tensors = {key: value for key, value in content.items() if isinstance(value, StoredTensor)}
    if tensors and tensors.keys() <= ENCODER_KEYS.keys():
        return {ENCODER_KEYS[key]: value for key, value in tensors.items()}, None
    if len(tensors) == 1:
        token, tensor = next(iter(tensors.items()))
        return {"*": tensor}, token
    if not tensors:
        raise EmbeddingFileError("it holds no tensors; is it an embedding?")
    if tensors.keys() & ENCODER_KEYS.keys():
        others = ", ".join(sorted(ascii(key[:40]) for key in tensors.keys() - ENCODER_KEYS.keys())[:3])
        raise EmbeddingFileError(f"it also has vectors for {others}, which no Stable Diffusion 1, 2 or XL model has")
    raise EmbeddingFileError(
        f"it holds {len(tensors)} tensors where a word has one or two; is it a LoRA or a checkpoint?"
    )


def _only_word(words: object) -> StoredTensor:
    if not isinstance(words, dict) or not all(isinstance(value, StoredTensor) for value in words.values()):
        raise EmbeddingFileError("its `string_to_param` is not a list of tensors; it is damaged")
    if len(words) != 1:
        raise EmbeddingFileError(f"it holds {len(words)} words, wanted is a file with one")
    only = next(iter(words.values()))
    assert isinstance(only, StoredTensor)
    return only


def _texts(value: object) -> dict[str, str]:
    return {k: v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}


def _is_name(value: object) -> bool:
    """Whether a stored name can be shown as one; whether a new file may be called so is `check_name`'s business."""
    usable = isinstance(value, str) and value not in _NOT_A_NAME and 0 < len(value) <= MAX_NAME_LENGTH
    return (
        usable and isinstance(value, str) and value.isprintable() and not set(value) & set("/\\") and ".." not in value
    )
