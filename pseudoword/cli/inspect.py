"""`pseudoword inspect`: what embeddings are made of, what a prompt becomes, and words made of others."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ..embedding import FileFormat, load_embedding
from ..errors import EmbeddingFileError, SettingsError
from ..inspect.editing import save_edited
from ..inspect.library_table import LibraryTable, scan
from ..inspect.library_view import RowFilter, filtered, ordered, to_csv, to_json
from ..jobs.library.words import words_at
from .console import Console
from .model_choice import add_model_flags, load_chosen_model

if TYPE_CHECKING:
    from ..diffusion import TextEncoder
    from ..embedding import Embedding
    from ..inspect.figures import WordFigures
    from ..inspect.maps import Plane
    from ..inspect.vocabulary import Vocabulary

DESCRIPTION = """\
Look into embeddings. A file: its vectors' lengths, the words nearest to them, and whether they are sound. A folder: a
table of all embeddings in it and below. With --prompt what the text encoder gets of a prompt, with --expression a new
word made of others. No pickle is ever executed.
"""

EPILOG = """\
examples:
  {prog} inspect runs/my-cat/my-cat.safetensors --plots plots
  {prog} inspect embeddings --search portrait --sort largest_norm
  {prog} inspect embeddings --prompt "a photo of my-cat, (oil painting:1.2)"
  {prog} inspect embeddings --expression '0.7*my-cat + 0.3*"oil painting"' --output painted-cat.safetensors
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("places", nargs="*", type=Path, metavar="PLACE", help="embedding files, and folders of them")
    parser.add_argument("--prompt", metavar="TEXT", help="show what the text encoder gets of this prompt")
    parser.add_argument("--expression", metavar="TEXT", help="make a word of others, such as '0.5*a + 0.5*b'")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the word of --expression is written")
    parser.add_argument("--to", default="safetensors", choices=get_args(FileFormat), help="its format")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE; what was there is kept as FILE.former")
    parser.add_argument("--nearest", type=int, default=5, metavar="N", help="tokens to name [default: 5]")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw each file's plots there, and their data")
    parser.add_argument("--search", default="", metavar="TEXT", help="only the rows of a folder's table that say this")
    parser.add_argument("--sort", default="name", metavar="COLUMN", help="the table's order [default: name]")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV")
    parser.add_argument("--cache", type=Path, metavar="FILE", help="keep what was read, so that the next look is fast")
    add_model_flags(parser)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Do the one thing that is asked for."""
    if arguments.prompt is not None:
        show_prompt(arguments, console)
    elif arguments.expression is not None:
        combine(arguments, console)
    elif not arguments.places:
        raise SettingsError("There is nothing to look into; name an embedding file or a folder, or give --prompt.")
    elif any(place.is_dir() for place in arguments.places):
        show_table(arguments, console)
    else:
        show_words(arguments, console)


def show_table(arguments: argparse.Namespace, console: Console) -> None:
    """A table of all embeddings in the folders."""
    lone = [place for place in arguments.places if not place.is_dir()]
    if lone:
        raise SettingsError(f"{str(lone[0])!r} is no folder; give files or folders, not both.")
    table = scan(arguments.places, arguments.cache)
    rows = ordered(filtered(table.rows, RowFilter(search=arguments.search)), arguments.sort)
    if arguments.csv is not None:
        arguments.csv.write_text(to_csv(rows), encoding="utf-8")
    lines = [f"{'name':24} {'for':5} {'vectors':>7} {'norm':>7} {'steps':>6}  file"]
    for row in rows:
        norm = "" if row.mean_norm is None else f"{row.mean_norm:.3f}"
        facts = f"{row.architecture or '':5} {row.vector_count or '':>7} {norm:>7} {row.steps or '':>6}"
        lines.append(f"{row.name[:24]:24} {facts}  {row.path}{'  – ' + row.problem if row.problem else ''}")
    lines += [f"Left out: {reason}" for reason in table.skipped]
    shown = LibraryTable(tuple(rows), table.groups, table.skipped, table.complete)
    console.result(json.loads(to_json(shown)), "\n".join(lines))


def show_words(arguments: argparse.Namespace, console: Console) -> None:
    """The figures of every file that is named."""
    from ..inspect.figures import figures_of
    from ..inspect.health import findings_of
    from ..inspect.maps import plane_of
    from ..inspect.vocabulary import Vocabulary

    embeddings = [load_embedding(place) for place in arguments.places]
    encoders = load_chosen_model(arguments, console).text_encoders
    vocabularies = [Vocabulary.of_encoder(encoder) for encoder in encoders]
    planes = [] if arguments.plots is None else [plane_of(vocabulary) for vocabulary in vocabularies]
    values, texts = [], []
    for embedding in embeddings:
        figures = figures_of(embedding, vocabularies, arguments.nearest, with_specials=False)
        findings = findings_of(figures)
        values.append(as_values(embedding, figures, [finding.sentence for finding in findings]))
        texts.append(as_text(embedding, figures, [f"{finding.level}: {finding.sentence}" for finding in findings]))
        if arguments.plots is not None:
            draw(arguments.plots, embedding, figures, list(zip(vocabularies, planes, encoders, strict=True)))
    console.result({"words": values}, "\n\n".join(texts))


def as_values(embedding: Embedding, figures: WordFigures, findings: list[str]) -> dict[str, Any]:
    """What a program reads of one word."""
    from ..inspect.word_json import vectors_json

    facts = {"name": embedding.name, "architecture": embedding.architecture, "findings": findings}
    return {**facts, "vectors": vectors_json(figures)}


def as_text(embedding: Embedding, figures: WordFigures, findings: list[str]) -> str:
    """What a person reads of one word."""
    count = embedding.vector_count
    lines = [f"{embedding.name}: {count} vector{'s' if count > 1 else ''}, for {embedding.architecture}"]
    for encoder in figures.encoders.values():
        usual = encoder.vocabulary_norms
        lines.append(f"{encoder.encoder}: the vocabulary's lengths are {usual.mean:.3f} ± {usual.deviation:.3f}")
        for vector in encoder.vectors:
            nearest = ", ".join(f"{found.text} {found.figure:.3f}" for found in vector.nearest["cosine"])
            lines.append(
                f"  {vector.number}: length {vector.norm:.3f} (longer than {vector.norm_percentile:.0f} %), {nearest}"
            )
    return "\n".join([*lines, *(f"  {finding}" for finding in findings)])


def draw(
    folder: Path,
    embedding: Embedding,
    figures: WordFigures,
    model: Sequence[tuple[Vocabulary, Plane, TextEncoder]],
) -> None:
    """The plots of one word and the data behind them, in `folder`, for each text encoder of `model`."""
    from ..inspect import layers, maps, plots, tables

    folder.mkdir(parents=True, exist_ok=True)
    for vocabulary, plane, encoder in model:
        found = figures.encoders[vocabulary.encoder]
        stem = f"{embedding.name}-{vocabulary.encoder}"
        word_map = maps.word_map(embedding, found, vocabulary, plane)
        by_layer = layers.layer_figures(encoder, embedding)
        files: dict[str, bytes] = {
            "norms.png": plots.norms_plot(embedding.name, found, vocabulary),
            "similarity.png": plots.similarity_plot(embedding.name, found),
            "map.png": plots.map_plot(word_map),
            "layers.png": plots.layers_plot(by_layer),
            "norms.csv": tables.norms_table(figures).encode(),
            "nearest.csv": tables.nearest_table(figures).encode(),
            "similarity.csv": tables.similarity_table(found).encode(),
            "map.csv": tables.map_table(word_map).encode(),
            "layers.csv": tables.layers_table(by_layer).encode(),
        }
        for name, content in files.items():
            (folder / f"{stem}-{name}").write_bytes(content)


def loaded_words(arguments: argparse.Namespace, console: Console) -> dict[str, Embedding]:
    """The words in the places that are named; broken ones are told and left out."""
    words: dict[str, Embedding] = {}
    for word in words_at(arguments.places):
        try:
            words.setdefault(word.name, word.load())
        except EmbeddingFileError as problem:
            console.warn(str(problem))
    return words


def show_prompt(arguments: argparse.Namespace, console: Console) -> None:
    """The tokens of a prompt, and where words stand in it."""
    from ..inspect.prompt_view import view_as_text, view_prompt

    tokenizer = load_chosen_model(arguments, console).text_encoders[0].tokenizer
    counts = {name: embedding.vector_count for name, embedding in loaded_words(arguments, console).items()}
    view = view_prompt(arguments.prompt, tokenizer, counts)
    pieces = [
        {"kind": piece.kind, "text": piece.text, "id": piece.token_id, "weight": piece.weight}
        for chunk in view.chunks
        for piece in chunk.pieces
    ]
    console.result({"chunks": len(view.chunks), "pieces": pieces}, view_as_text(view))


def combine(arguments: argparse.Namespace, console: Console) -> None:
    """A new word made of others, written where --output says."""
    from ..inspect.arithmetic import evaluate

    if arguments.output is None:
        raise SettingsError("--expression makes a word, but --output does not say where to; give a file.")
    words = loaded_words(arguments, console)
    combination = evaluate(arguments.expression, load_chosen_model(arguments, console).text_encoders, words)
    embedding = combination.embedding(arguments.output.stem)
    path = save_edited(embedding, arguments.output, arguments.to, overwrite=arguments.overwrite)
    values = {"path": str(path), "word": embedding.name, "vectors": embedding.vector_count}
    console.result(values, f"{path}: the word {embedding.name}, {embedding.vector_count} vectors")
