"""`pseudoword clip-skip`: one prompt and its seeds with each layer of the text encoder, scored by CLIP."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..embedding.whole_file import write_whole
from ..errors import ModelError, SettingsError
from ..hosts.diffusers import StandaloneModel
from ..inspect.layer_scores import LayerScores, scores_table
from ..inspect.strips import layers_row
from ..jobs.host import Host
from ..jobs.layers.checkpoint_layers import FILE as CHECKPOINT_LAYERS
from ..jobs.layers.checkpoint_layers import CheckpointLayers
from ..jobs.layers.remembered_layers import remember
from ..jobs.library.words import RUNS, trained_words, words_at, words_said
from ..jobs.strips.strip_job import StripJob
from ..jobs.strips.strips import HIGHEST_SEED, MOST_SEEDS, Strips
from ..jobs.turns import Turns
from ..text.layer_choice import without_tags
from ..text.layer_list import ALL, layer_list
from .console import Console
from .interruption import Stopped, deferred
from .model_choice import add_clip_flag, add_model_flags, check_clip_files, load_chosen_model, load_chosen_scorer

DESCRIPTION = """\
Make the same pictures with each layer of the text encoder, and score how well they fit the prompt.

CLIP skip 1 is the last layer, 2 the one before. A layer is recommended only where chance hardly gives it such a lead.
sheet.png, plot.png and scores.csv are written; with --heat-map also what each layer makes of each token.
"""

EPILOG = """\
examples:
  {prog} clip-skip "a red cat on a blue background"
  {prog} clip-skip "a knight, oil painting" --layers "1; 2; 3; 1=0.5,2=0.5" --seeds 8 --model anime.safetensors \\
      --clip open_clip_config.json open_clip_model.safetensors
"""

LOOK_EVERY_S = 0.2
NOTHING_TO_REMEMBER = "No layer was recommended, so nothing is remembered, and what was stays."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("prompt", metavar="PROMPT", help="what to show")
    add_model_flags(parser)
    add_clip_flag(parser)
    parser.add_argument(
        "--layers",
        default=ALL,
        metavar="LIST",
        help='layers to compare, such as "1; 2; 4-6; 1=0.5,2=0.5", where the latter is a blend [default: all]',
    )
    parser.add_argument(
        "--seeds", type=int, default=4, metavar="N", help=f"pictures of each layer, at most {MOST_SEEDS} [default: 4]"
    )
    parser.add_argument("--first-seed", type=int, default=0, metavar="N", help="the others count on [default: 0]")
    parser.add_argument("--negative", default="", metavar="PROMPT", help="what not to show, read with the same layer")
    parser.add_argument(
        "--words",
        nargs="+",
        type=Path,
        metavar="PLACE",
        help=f"embedding files, or folders of them [default: what was trained in {RUNS}]",
    )
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="steps of the sampler [default: 20]")
    parser.add_argument(
        "--guidance", type=float, default=5.0, metavar="X", help="how strictly the prompt is followed [default: 5]"
    )
    parser.add_argument("--output", type=Path, default=Path("clip-skip"), metavar="FOLDER", help="[default: clip-skip]")
    parser.add_argument(
        "--remember",
        action="store_true",
        help="keep the recommended layer for this checkpoint: prompts are read with it from then on",
    )
    parser.add_argument("--heat-map", action="store_true", help="write what each layer makes of each token, too")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Make the pictures, write what came out, and report the scores. Ctrl-C keeps what is there by then."""
    if arguments.output.exists() and not arguments.output.is_dir():
        raise SettingsError(f"--output is {str(arguments.output)!r}, which is no folder; give another one.")
    if not 0 <= arguments.first_seed <= HIGHEST_SEED:
        raise SettingsError(f"--first-seed is {arguments.first_seed}; give a number from 0 to {HIGHEST_SEED}.")
    check_clip_files(arguments)
    known = trained_words() if arguments.words is None else words_at(arguments.words)
    model, scorer = load_chosen_model(arguments, console, torch.float16), load_chosen_scorer(arguments)
    encoder = model.text_encoders[0]
    prompt, negative = without_tags(arguments.prompt), without_tags(arguments.negative)
    said = words_said([prompt, negative], known, encoder.tokenizer)
    vectors = {word.name: word.load().vectors for word in said}
    row = layers_row(prompt, vectors, layer_list(arguments.layers, [encoder.layer_count]), negative)
    layers = CheckpointLayers(RUNS / CHECKPOINT_LAYERS)
    host = Host(lambda: model, lambda: scorer, Turns(), RUNS, checkpoint_layers=layers)
    strips = Strips(host)
    seeds = range(arguments.first_seed, arguments.first_seed + max(arguments.seeds, 0))
    with deferred(lambda: None) as was_interrupted:
        job = strips.start([row], seeds, arguments.steps, arguments.guidance)
        try:
            follow(job, console, was_interrupted)
        finally:  # also after a second Ctrl-C: a program that ends in the middle of a pass crashes
            strips.end()
        files = written(job, arguments.output)
    now = job.watch()
    if now.state == "failed":
        raise ModelError(now.message)
    if now.state == "cancelled":
        kept = f"what was made is in {arguments.output}" if files else "nothing was made yet"
        raise Stopped(f"Interrupted; {kept}.")
    if arguments.heat_map:
        files += heat_map(model, prompt, vectors, arguments.output)
    report(job, files, console)
    if arguments.remember:
        recommended = None if now.scores is None else now.scores.recommendation.layers
        console.note(NOTHING_TO_REMEMBER if recommended is None else remember(host, "", now))


def follow(job: StripJob, console: Console, was_interrupted: Callable[[], bool]) -> None:
    """Tell how `job` goes until its end, and cancel it on Ctrl-C."""
    latest = -1
    while not job.has_ended:
        job.wait(LOOK_EVERY_S)
        if was_interrupted():
            job.cancel()
        now = job.watch()
        if now.done != latest:
            latest = now.done
            console.progress(now.done, now.total, now.seconds_left)


def written(job: StripJob, folder: Path) -> list[Path]:
    """Write the pictures, the plot and the scores so far; returns the files. Raises MissingExtra without matplotlib."""
    from ..inspect.layer_scores_plot import layer_scores_plot

    now = job.watch()
    content: dict[str, bytes] = {}
    if now.done:
        content["sheet.png"] = job.sheet()
    if now.scores is not None:
        content["scores.csv"] = scores_table(now.scores).encode()
        content["plot.png"] = layer_scores_plot(now.scores)
    return [write(folder / name, data) for name, data in content.items()]


def heat_map(
    model: StandaloneModel, prompt: str, vectors: Mapping[str, Mapping[str, Tensor]], folder: Path
) -> list[Path]:
    """Write what the layers make of the tokens; returns the files."""
    from ..inspect.prompt_layers import prompt_layers, prompt_layers_table
    from ..inspect.prompt_layers_plot import prompt_layers_plot

    found = prompt_layers(model.text_encoders[0], prompt, vectors)
    return [
        write(folder / "heat-map.png", prompt_layers_plot(found)),
        write(folder / "heat-map.csv", prompt_layers_table(found).encode()),
    ]


def write(path: Path, data: bytes) -> Path:
    """Write a file whole, in the place of one from before."""
    write_whole(path, data, overwrite=True)
    return path


def report(job: StripJob, files: list[Path], console: Console) -> None:
    """The table of scores, the recommendation, and where the files are."""
    now = job.watch()
    paths = [str(path) for path in files]
    scores = now.scores
    if scores is None:
        nothing: dict[str, Any] = {"scores": [], "recommendation": None, "says": now.no_figures, "files": paths}
        console.result(nothing, "\n".join([now.no_figures, *paths]))
        return
    told = scores.recommendation
    values: dict[str, Any] = {
        "scores": [score_json(scores, place) for place in range(len(scores.choices))],
        "recommendation": None if told.layers is None else told.layers.text,
        "says": told.sentence,
        "files": paths,
    }
    console.result(values, "\n".join([*score_lines(scores), "", told.sentence, *paths]))


def score_json(scores: LayerScores, place: int) -> dict[str, Any]:
    """The figures of one choice of layers, for programs."""
    is_scored = bool(scores.scores)
    return {
        "layers": scores.choices[place].text,
        "score": scores.score(place) if is_scored else None,
        "deviation": scores.deviation(place) if is_scored else None,
        "by_seed": list(scores.scores[place]) if is_scored else [],
        "similarity_with_last": scores.alike.similarity(place),
    }


def score_lines(scores: LayerScores) -> list[str]:
    """The figures of all choices as a table for people; a star stands beside the recommended one."""
    widest = max(len(label) for label in scores.labels)
    lines = [f"  {'layers':{widest}}  score   deviation  similarity with the last"]
    chosen = scores.recommendation.layers
    for place, label in enumerate(scores.labels):
        score = f"{scores.score(place):6.3f}" if scores.scores else "     -"
        spread = scores.deviation(place) if scores.scores else None
        deviation = "        -" if spread is None else f"{spread:9.3f}"
        star = "*" if scores.choices[place] == chosen else " "
        lines.append(f"{star} {label:{widest}}  {score}  {deviation}  {scores.alike.similarity(place):.3f}")
    return lines
