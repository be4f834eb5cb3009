"""Where the table of the layers that checkpoints want lies, and which checkpoint is loaded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from modules import paths_internal, sd_models

from ..jobs.layers.checkpoint_layers import FILE, CheckpointLayers


@lru_cache(maxsize=1)
def checkpoint_layers() -> CheckpointLayers:
    """The table of this WebUI, beside its own data."""
    return CheckpointLayers(Path(paths_internal.data_path) / "pseudoword" / FILE)


def loaded_checkpoint() -> tuple[str, str] | None:
    """Hash and name of the checkpoint that is loaded; None where none is, or with --no-hashing."""
    net = sd_models.model_data.sd_model
    info = None if net is None else net.sd_checkpoint_info
    return None if info is None or not info.sha256 else (info.sha256, info.name_for_extra)
