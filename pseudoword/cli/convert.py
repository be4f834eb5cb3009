"""`pseudoword convert`: an embedding from any file format to another."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import get_args

from PIL import Image

from ..decoding import load_picture
from ..embedding import SUFFIXES, FileFormat, load_embedding, save_embedding
from ..embedding.files import card_picture
from ..errors import DatasetError, EmbeddingFileError, SettingsError
from .console import Console

DESCRIPTION = """\
Write an embedding in another file format. What the file is is read from its content; no pickle is ever executed.

  safetensors  loads everywhere, and has all metadata
  pt           AUTOMATIC1111's own
  diffusers    for diffusers' load_textual_inversion
  card         a PNG picture that holds the word and can be shown around
"""

EPILOG = """\
examples:
  {prog} convert runs/my-cat/my-cat.safetensors --to pt
  {prog} convert runs/my-cat/my-cat.safetensors --to card --preview generated/00001-7.png
  {prog} convert old-word.bin --to safetensors --output embeddings/old-word.safetensors
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("file", type=Path, metavar="FILE", help="an embedding in any format")
    parser.add_argument("--to", required=True, choices=get_args(FileFormat), help="the format to write")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file to write; programs call the word like it [default: beside FILE]",
    )
    parser.add_argument(
        "--preview",
        type=Path,
        metavar="PICTURE",
        help="what a card shows [default: what a card showed before, else a pattern made of the vectors]",
    )
    parser.add_argument(
        "--half", action="store_true", help="store 16-bit numbers (fp16); a card holds text, so it is only rounded"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output file where there is one")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Read, write, and report where it is."""
    preview = None if arguments.preview is None else preview_for(arguments.to, arguments.preview)
    embedding = load_embedding(arguments.file)
    if preview is None and arguments.to == "card":
        with suppress(EmbeddingFileError):  # the file is no card
            preview = card_picture(arguments.file)
    target = arguments.output or arguments.file.with_name(arguments.file.stem + SUFFIXES[arguments.to][0])
    path = save_embedding(
        embedding, target, arguments.to, overwrite=arguments.overwrite, preview=preview, half=arguments.half
    )
    values = {
        "path": str(path),
        "format": arguments.to,
        "word": embedding.name,
        "vectors": embedding.vector_count,
        "architecture": embedding.architecture,
    }
    count = f"{embedding.vector_count} vector{'s' if embedding.vector_count > 1 else ''}"
    console.result(values, f"{path}: the word {embedding.name}, {count}, for {embedding.architecture}")


def preview_for(format: FileFormat, path: Path) -> Image.Image:
    """The picture at `path`. Raises SettingsError where `format` has no place for one, or it cannot be read."""
    if format != "card":
        raise SettingsError(
            f"--preview is what a card shows, but the format is {format}; use --to card, or leave it out."
        )
    try:
        return load_picture(path)
    except DatasetError as error:
        raise SettingsError(f"The preview {path} cannot be used: {error}.") from error
