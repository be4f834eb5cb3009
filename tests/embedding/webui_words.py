"""Words as the WebUI's own trainer leaves them: `NAME.pt`, and what its optimiser knew in `NAME.pt.optim`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def begun_word(folder: Path, width: int, *, count: int = 2, steps: int = 3, **options: Any) -> Path:
    """`folder`/begun.pt with .optim after `steps` of A1111's AdamW; `options` are torch.save's."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(3)
    vectors = (0.3 * torch.randn(count, width, generator=generator)).requires_grad_()
    optimiser = torch.optim.AdamW([vectors], lr=0.005, weight_decay=0.0)
    for _ in range(steps):
        vectors.grad = torch.randn(count, width, generator=generator)
        optimiser.step()
    fields = {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "begun", "step": steps}
    torch.save({**fields, "sd_checkpoint": "0123456789", "sd_checkpoint_name": "model-v1"}, folder / "begun.pt")
    write_optimiser(folder / "begun.pt.optim", vectors, optimiser.state_dict(), **options)
    return folder / "begun.pt"


def write_optimiser(path: Path, vectors: Tensor, state: dict[str, Any], **options: Any) -> None:
    """What A1111 writes at `path` beside `vectors`; `options` are torch.save's."""
    torch.save({"hash": a1111_hash(vectors), "optimizer_state_dict": state}, path, **options)


def a1111_hash(vectors: Tensor) -> str:
    """Embedding.checksum, number by number as A1111 has it."""
    r = 0
    for v in vectors.reshape(-1) * 100:
        r = (r * 281 ^ int(v) * 997) & 0xFFFFFFFF
    return f"{r & 0xFFFF:04x}"


def saved_state(path: Path) -> dict[str, Any]:
    """What `begun_word` wrote in the optimiser's file at `path`: "step", "exp_avg" and "exp_avg_sq"."""
    state: dict[str, Any] = torch.load(path, weights_only=False)["optimizer_state_dict"]["state"][0]
    return state
