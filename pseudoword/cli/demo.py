"""`pseudoword demo`: everything once, on the built-in model and pictures that it has never seen."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import pseudoword

from ..builtin import SAMPLES, sample_sets
from ..diffusion import DiffusionModel
from ..errors import ModelError, SettingsError, TrainingError
from ..scoring import ClipScorer
from ..training.dataset import find_pictures
from ..training.run_folder import RunFolder, write_whole
from ..training.settings import TrainSettings
from ..training.trainer import TrainingRun
from .console import Console, time_text
from .earlier_run import check_goes_on, remove_run
from .following import Outcome, follow, usable
from .model_choice import load_chosen_model
from .peak_memory import peak_memory_mb

WORD = "wug"  # the pseudoword of Jean Berko's test of how children learn words (1958)
USUAL_OBJECT = "penguin"
STYLE_ENDING = "-style"
SETTINGS: dict[str, Any] = {"name": WORD, "steps": 400, "validate_every": 25, "preview_every": 100, "save_every": 100}
STYLE_SETTINGS = {"templates": "style", "preview_prompt": "a cat in the style of [name]"}

DESCRIPTION = """\
Teach the built-in model, a very small Stable Diffusion, the word "wug" from five pictures of something that it has
never seen, and show what became of it. Takes minutes on two cores, needs no GPU and fetches nothing.
"""

EPILOG = """\
examples:
  {prog} demo
  {prog} demo --object castle --output castle-demo
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    sets = sample_sets() if SAMPLES.is_dir() else []
    parser.add_argument(
        "--object",
        metavar="NAME",
        default=USUAL_OBJECT,
        help=f"what to teach: {', '.join(sets)} [default: {USUAL_OBJECT}]",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        default=Path("demo"),
        help="where everything is written [default: demo]",
    )
    parser.set_defaults(model=None, device="auto")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Train on the sample set, write the folder, and say where to look."""
    start = time.perf_counter()
    samples = samples_of(arguments.object)
    model = load_chosen_model(arguments, console)
    scorer = ClipScorer.builtin(model.device)
    loading = time.perf_counter() - start
    report = show(model, scorer, samples, settings_for(samples.name), arguments, console)
    report["seconds"] = {"loading": loading, **report["seconds"], "all": time.perf_counter() - start}
    report["peak_memory_mb"] = peak_memory_mb()
    output: Path = arguments.output
    write_whole(output / "report.json", (json.dumps(report, indent=2) + "\n").encode())
    console.result(report, told(report, output, arguments))


def samples_of(name: str) -> Path:
    """The folder of the sample set called `name`. Raises SettingsError, or ModelError where the samples are missing."""
    if not SAMPLES.is_dir():
        raise ModelError(f"The sample pictures are missing from {SAMPLES}; install Pseudoword again.")
    names = sample_sets()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(names)}."
        raise SettingsError(f"There is no sample set {name!r}; {remedy}")
    return SAMPLES / name


def settings_for(set_name: str) -> TrainSettings:
    """What the demo trains a set with: the defaults, but with fewer steps, and more often something to see."""
    return TrainSettings.from_dict({**SETTINGS, **(STYLE_SETTINGS if set_name.endswith(STYLE_ENDING) else {})})


def show(
    model: DiffusionModel,
    scorer: ClipScorer | None,
    samples: Path,
    settings: TrainSettings,
    arguments: argparse.Namespace,
    console: Console,
) -> dict[str, Any]:
    """Train `settings.name` on the pictures in `samples` and write all but the report, which is given back.

    The run itself lies in `arguments.output`/run; an interrupted one goes on, a finished one is done again, as is one
    of an earlier version with another model, other settings or pictures.
    """
    output: Path = arguments.output
    files = RunFolder(output / "run" / samples.name)
    start = time.perf_counter()
    pictures = usable(find_pictures(samples, settings), settings.size or model.native_size, console)
    console.note(
        f"Teaching {model.title} the word {settings.name} from {len(pictures.pictures)} pictures of: {samples.name}."
    )
    done = files.path / "done"
    goes_on = files.checkpoint.exists() and not done.exists()
    try:
        check_goes_on(files, model, settings, pictures)
    except TrainingError:  # after an update of Pseudoword, say; what the demo shows can be made again at any time
        goes_on = False
    if not goes_on:
        remove_run(files)
        done.unlink(missing_ok=True)
    training = TrainingRun(model, settings, pictures, files.path, scorer)
    outcome = follow(training, settings, files, arguments.as_command(arguments.given), console)
    seconds = time.perf_counter() - start
    written = publish(outcome, output)
    write_whole(done, b"")
    return {
        **machine(model),
        "pseudoword": pseudoword.__version__,
        "object": samples.name,
        "pictures": len(pictures.pictures),
        "word": settings.name,
        "model": model.title,
        "model_sha256": model.sha256,
        "settings": settings.to_dict(),
        "start_words": start_words(training),
        **{key: outcome.values()[key] for key in ("reason", "step", "best_step", "figures")},
        "resumed": goes_on,
        "seconds": {"training": seconds, "phases": dict(training.phase_seconds)},
        "files": written,
    }


def publish(outcome: Outcome, output: Path) -> dict[str, str]:
    """Copy what is worth looking at from the run's folder into `output`; gives what was there, by its purpose."""
    files, best_step = outcome.files, outcome.finished.best_step
    wanted = {
        "embedding": (outcome.embedding, outcome.embedding.name),
        "curve": (files.curve, files.curve.name),
        "contact_sheet": (files.contact_sheet, files.contact_sheet.name),
        "before": (files.preview(0), "before.png"),
        "after": (files.preview(best_step), "after.png"),
    }
    written = {}
    for purpose, (source, name) in wanted.items():
        if source.exists():
            write_whole(output / name, source.read_bytes())
            written[purpose] = name
    return written


def start_words(training: TrainingRun) -> str:
    """The words that learning started from: what CLIP would have called the pictures."""
    return training.result().metadata.extra.get("pseudoword.start_words", "")


def machine(model: DiffusionModel) -> dict[str, Any]:
    """On what the figures were measured."""
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(model.device),
    }


def told(report: Mapping[str, Any], output: Path, arguments: argparse.Namespace) -> str:
    """The end of the demo for a person: what was learned, and where to look."""
    figures, files = report["figures"], report["files"]
    lines = [
        f'The built-in model has learned "{report["word"]}", in {time_text(report["seconds"]["training"])} minutes.'
    ]
    if "start likeness" in figures and "best likeness" in figures:
        lines.append(
            f"  likeness to the pictures: {figures['start likeness']:.3f} before, when it stood for "
            f'"{report["start_words"]}", and {figures["best likeness"]:.3f} after (1 would be the same)'
        )
    lines.append(f"  all figures: {output / 'report.json'}")
    if "contact_sheet" in files:
        lines.append(f"Look at {output / files['contact_sheet']}: the pictures it learned from, then before and after.")
    prompt = f"a photo of {report['word']} on a red background"
    words = str(output / files["embedding"])
    lines.append("Go on with: " + arguments.as_command(["generate", prompt, "--embeddings", words]))
    return "\n".join(lines)
