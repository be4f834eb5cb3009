"""ComfyUI's own `load_embed`, in a process of its own.

    python comfyui.py FOLDER WIDTH RESULT        what it loads of every file in FOLDER by each key, as torch.save

The working folder is that of ComfyUI.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import torch


def main(folder: Path, width: int, result: Path) -> None:
    sys.path.insert(0, ".")
    importlib.import_module("comfy.options").enable_args_parsing()
    sys.argv = ["comfyui", "--cpu"]
    load_embed = importlib.import_module("comfy.sd1_clip").load_embed
    names = [path.name for path in folder.iterdir()] + [path.stem for path in folder.iterdir()]
    # The keys are those that its tokenizers of SD 1, SDXL and SD 2 ask for.
    keys = ("clip_l", "clip_g", "clip_h")
    torch.save({name: {key: load_embed(name, str(folder), width, key) for key in keys} for name in names}, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
