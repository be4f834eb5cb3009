"""`pseudoword generate`: a prompt with trained words to pictures."""

from __future__ import annotations

import argparse
import contextlib
import re
import secrets
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import torch
from PIL import Image

from ..diffusion import Conditioning, DiffusionModel, Sampling
from ..embedding import Embedding
from ..embedding.whole_file import write_whole
from ..errors import ModelError, SettingsError
from ..jobs.layers.checkpoint_layers import FILE as CHECKPOINT_LAYERS
from ..jobs.layers.checkpoint_layers import CheckpointLayers
from ..jobs.layers.layers_of_prompts import layers_for, layers_of_prompts
from ..jobs.library.words import RUNS, TrainedWord, trained_words, words_at, words_said
from ..jobs.picture_portions import portions
from ..text import encode_negative, encode_prompts
from ..text.layer_choice import LayerChoice, parse_layers, without_tags
from .console import Console
from .infotext import Recipe, infotext, png_with_text
from .interruption import Stopped, deferred
from .model_choice import add_model_flags, load_chosen_model, too_little_memory

DESCRIPTION = """\
Make pictures with a prompt that may use trained words.

Words trained in runs/ are known by themselves. How a picture was made stands in it, in the text that AUTOMATIC1111's
"PNG Info" shows. Ctrl-C keeps the pictures that are made by then.
"""

EPILOG = """\
examples:
  {prog} generate "a photo of my-cat on a red background" --count 4
  {prog} generate "a photo of my-cat" --model v1-5.safetensors --seed 7 --output cat.png
  {prog} generate "a town, by my-style" --embeddings ~/embeddings --negative "blurry" --steps 30
"""

MOST_PICTURES = 1000
HIGHEST_SEED = 2**32 - 1  # of the first picture; torch takes far larger ones
PROGRESS_EVERY_S = 0.2


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("prompt", metavar="PROMPT", help="what to show")
    add_model_flags(parser)
    parser.add_argument(
        "--embeddings",
        nargs="+",
        type=Path,
        metavar="PLACE",
        help=f"embedding files, or folders of them [default: what was trained in {RUNS}]",
    )
    parser.add_argument("--negative", default="", metavar="PROMPT", help="what not to show")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="number of pictures [default: 1]")
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="of the first picture, the next ones count on from it [default: by chance]",
    )
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="steps of the sampler [default: 20]")
    parser.add_argument(
        "--guidance", type=float, default=5.0, metavar="X", help="how strictly the prompt is followed [default: 5]"
    )
    parser.add_argument("--width", type=int, metavar="N", help="pixels [default: what the model was made for]")
    parser.add_argument("--height", type=int, metavar="N", help="pixels [default: what the model was made for]")
    parser.add_argument(
        "--clip-skip",
        metavar="LAYERS",
        help="text encoder layer, counted from the last, which is 1, or a blend such as 1=0.5,2=0.5 [default: what the "
        "prompt's words were trained with, else what is remembered for the model]; <clipskip:2> in the prompt wins",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("generated"),
        metavar="PLACE",
        help="a folder, or for one picture a .png file [default: generated]",
    )


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Make the pictures, write them, and report where they are."""
    check(arguments)
    known = trained_words() if arguments.embeddings is None else words_at(arguments.embeddings)
    model = load_chosen_model(arguments, console, torch.float16)  # half the memory, and looks the same
    prompt, negative = prompts = [without_tags(arguments.prompt), without_tags(arguments.negative)]
    words = {word: word.load() for word in words_said(prompts, known, model.text_encoders[0].tokenizer)}
    tell_words(words, known, console)
    chosen = arguments.clip_skip
    table = CheckpointLayers(RUNS / CHECKPOINT_LAYERS)
    otherwise = LayerChoice(parse_layers(chosen)) if chosen else layers_for(table, model, list(words.values()))
    layers = layers_of_prompts(arguments.prompt, arguments.negative, otherwise, model)
    for note in layers.notes:
        console.note(note)
    vectors = {word.name: embedding.vectors for word, embedding in words.items()}
    told = encode_prompts(model, [prompt], vectors, layers.prompt)
    against = encode_negative(model, negative, vectors, layers.negative)
    sampling = Sampling(
        width=arguments.width or model.native_size,
        height=arguments.height or model.native_size,
        steps=arguments.steps,
        guidance=arguments.guidance,
    )
    start = secrets.randbelow(HIGHEST_SEED) if arguments.seed is None else arguments.seed
    seeds = range(start, start + arguments.count)
    hashes = {word.name: word.short_hash for word in words}
    recipe = Recipe(arguments.prompt, arguments.negative, sampling, layers.prompt, hashes, layers.negative)
    paths = targets(arguments.output, seeds)
    with contextlib.closing(make_pictures(model, told, against, sampling, seeds, console)) as pictures:
        for seed, path, picture in zip(seeds, paths, pictures, strict=True):
            write_whole(path, png_with_text(picture, infotext(recipe, seed, model)), overwrite=True)
    made = [{"path": str(path), "seed": seed} for seed, path in zip(seeds, paths, strict=True)]
    names = [word.name for word in words]
    text = layers.prompt.text
    said: int | str = int(text) if text.isdigit() else text  # a blend is a text
    console.result({"pictures": made, "words": names, "clip_skip": said}, "\n".join(map(str, paths)))


def make_pictures(
    model: DiffusionModel,
    told: Conditioning,
    against: Conditioning,
    sampling: Sampling,
    seeds: Sequence[int],
    console: Console,
) -> Generator[Image.Image, None, None]:
    """A picture for each of `seeds`, several at a time, with a bar. Raises Stopped after Ctrl-C, and ModelError."""
    began = shown = time.monotonic()
    made = 0

    def on_step(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown > PROGRESS_EVERY_S or done == total:
            shown = now
            console.progress(done, total, (now - began) / done * (total - done), "steps")
        if interrupted() and done < total:
            kept = f"{made} of {len(seeds)} pictures are made and kept" if made else "no picture is made yet"
            raise Stopped(f"Stopped; {kept}.")

    def too_little() -> ModelError:
        size = f"a picture of {sampling.width}×{sampling.height}"
        return too_little_memory(model.device, size, "set a smaller --width and --height")

    with deferred(lambda: console.note("Stopping; Ctrl-C once more stops at once.")) as interrupted:
        for pictures in portions(model, told, against, sampling, seeds, on_step, too_little):
            yield from pictures
            made += len(pictures)


def check(arguments: argparse.Namespace) -> None:
    """Raise SettingsError for numbers that no picture can be made with, before anything is loaded."""
    limits = {"count": MOST_PICTURES, "steps": 1000, "width": 4096, "height": 4096}
    for name, most in limits.items():
        value = getattr(arguments, name)
        if value is not None and not 1 <= value <= most:
            raise SettingsError(f"--{name.replace('_', '-')} is {value}, but a number from 1 to {most:,} is wanted.")
    if arguments.seed is not None and not 0 <= arguments.seed <= HIGHEST_SEED:
        raise SettingsError(f"--seed is {arguments.seed}, but a number from 0 to {HIGHEST_SEED} is wanted.")
    if not 0 <= arguments.guidance <= 100:  # NaN is not, either
        raise SettingsError(f"--guidance is {arguments.guidance}, but a number from 0 to 100 is wanted.")
    if is_file_name(arguments.output) and arguments.count > 1:
        raise SettingsError(
            f"--output is one file, {arguments.output.name}, for {arguments.count} pictures; give a folder instead."
        )


def tell_words(words: dict[TrainedWord, Embedding], known: Sequence[TrainedWord], console: Console) -> None:
    """Say which trained words the prompt uses; a prompt that uses none may be misspelt."""
    if words:
        console.note("Trained words: " + ", ".join(f"{word.name} ({word.path})" for word in words))
    elif known:
        console.note("The prompt uses no trained word; known are " + ", ".join(word.name for word in known) + ".")


def is_file_name(output: Path) -> bool:
    """Whether `output` names one picture and not a folder."""
    return output.suffix.lower() == ".png" and not output.is_dir()


def targets(output: Path, seeds: Sequence[int]) -> list[Path]:
    """Where the pictures go: `output` itself if it is a file's name, else in it as `00001-SEED.png`, counting on."""
    if is_file_name(output):
        return [output]
    present = output.iterdir() if output.is_dir() else ()
    numbers = [int(match[1]) for path in present if (match := re.match(r"(\d{5,9})-", path.name))]
    first = max(numbers, default=0) + 1
    return [output / f"{number:05}-{seed}.png" for number, seed in enumerate(seeds, start=first)]
