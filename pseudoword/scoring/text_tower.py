"""open_clip's text towers, computed only where there is something to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from open_clip import CLIP, CustomTextCLIP


def reads_to_the_end(model: CLIP | CustomTextCLIP) -> bool:
    """Whether a text tower reads from left to right and answers at its last token, as all of OpenAI's design do."""
    return getattr(model, "attn_mask", None) is not None and getattr(model, "text_pool_type", "argmax") == "argmax"


def encode_texts(model: CLIP | CustomTextCLIP, tokens: Tensor) -> Tensor:
    """What `model.encode_text` makes of `tokens` (B, context length), leaving out positions that all rows leave empty.

    Where the tower `reads_to_the_end`, a short text then costs a seventh.
    """
    if not reads_to_the_end(model):
        encoded: Tensor = model.encode_text(tokens)
        return encoded
    tokens = tokens[:, : int((tokens != 0).sum(dim=1).max())]
    return read_vectors(model, model.token_embedding(tokens), tokens)


def read_vectors(tower: Any, vectors: Tensor, tokens: Tensor) -> Tensor:
    """Text features (B, D) of input `vectors` (B, length, W), which stand in for those of `tokens` (B, length)."""
    length, dtype, mask = tokens.shape[1], tower.transformer.get_cast_dtype(), tower.attn_mask
    x = vectors.to(dtype) + tower.positional_embedding[:length].to(dtype)  # (B, length, W)
    if getattr(tower.transformer, "batch_first", False):
        x = tower.transformer(x, attn_mask=mask[:length, :length])
    else:  # before open_clip 2.27
        x = tower.transformer(x.transpose(0, 1), attn_mask=mask[:length, :length]).transpose(0, 1)
    x = tower.ln_final(x)[torch.arange(len(tokens), device=tokens.device), tokens.argmax(dim=-1)]
    projection = tower.text_projection
    if projection is None:
        return x
    return projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection
