"""The small Stable Diffusion that ships with Pseudoword, its CLIP, and sample pictures to train on.

See MODEL_CARD.md for what it was made from, what it can do, and its licences.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
CHECKPOINT = FOLDER / "pseudoword-mini.safetensors"
CONFIG_FOLDER = FOLDER / "pseudoword-mini"
OPEN_CLIP_FOLDER = FOLDER / "open_clip"
SAMPLES = FOLDER / "samples"


def sample_sets() -> list[str]:
    """Names of the training sets in `SAMPLES`: things and a style that the built-in model has never seen."""
    return sorted(folder.name for folder in SAMPLES.iterdir() if folder.is_dir())
