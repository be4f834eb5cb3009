"""Embeddings in 16-bit floating point (fp16), as most checkpoints are."""

from __future__ import annotations

from dataclasses import replace

import torch

from pseudoword.embedding.embedding import Embedding
from pseudoword.errors import SettingsError


def rounded_to_fp16(embedding: Embedding) -> Embedding:
    """`embedding` with its values as fp16 holds them (11 significant bits), in float32 as always in memory.

    Raises SettingsError for values above 65,504, the largest that it holds.
    """
    rounded = {encoder: rows.to(torch.float16).float() for encoder, rows in embedding.vectors.items()}
    if not all(bool(rows.isfinite().all()) for rows in rounded.values()):
        largest = max(float(rows.abs().max()) for rows in embedding.vectors.values())
        raise SettingsError(f"{embedding.name} has values up to {largest:g}, and fp16 ends at 65504; keep it as it is.")
    return replace(embedding, vectors=rounded)
