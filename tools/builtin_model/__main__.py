"""Make the built-in model: `python -m tools.builtin_model all --work build/builtin-model`.

Every step is resumable: called again, it goes on where it was. Needs the `standalone` extra, resvg-py and npm.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from pseudoword import builtin

from . import assemble, clip_training, icons, measure, pictures, samples, unet, vae

STEPS = ("pictures", "vae", "clip", "clip-images", "clip-text", "unet", "assemble", "samples", "measure")
TRAININGS = {
    "vae": vae.train,
    "clip": clip_training.train_together,
    "clip-images": clip_training.train_images,
    "clip-text": clip_training.train_text,
    "unet": unet.train,
}
DEFAULT_MINUTES = {"vae": 45.0, "clip": 45.0, "clip-images": 30.0, "clip-text": 30.0, "unet": 120.0}


def main() -> None:
    """Run one step, or all of them in order."""
    parser = argparse.ArgumentParser(prog="python -m tools.builtin_model", description=__doc__)
    parser.add_argument("step", choices=(*STEPS, "all"))
    parser.add_argument("--work", type=Path, default=Path("build/builtin-model"), help="folder for what lies between")
    parser.add_argument("--minutes", type=float, help="computing time of a training step of this tool")
    parser.add_argument("--threads", type=int, help="CPU threads")
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    for step in STEPS if chosen.step == "all" else (chosen.step,):
        if step == "pictures":
            icons.prepare(chosen.work)
            pictures.prepare(chosen.work)
        elif step in TRAININGS:
            TRAININGS[step](chosen.work, chosen.minutes or DEFAULT_MINUTES[step])
        elif step == "assemble":
            assemble.assemble(chosen.work, builtin.FOLDER)
        elif step == "samples":
            samples.write(chosen.work, builtin.SAMPLES, Path("benchmarks/pictures"))
        else:
            measure.measure(chosen.work)


if __name__ == "__main__":
    main()
