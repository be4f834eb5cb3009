"""The weights of a CLIP model and its tokenizer, fetched from where open_clip says they are.

`python -m pseudoword.scoring.downloading NAME` does it in a process of its own, which others can end at any moment: it
writes how far it is as lines of JSON, and ends when its input does.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ModelError, PseudowordError
from .clip_files import TOKENIZER_CONFIG
from .models import (
    TOWER,
    ClipModel,
    lacking_tokenizer,
    named,
    open_clip_cache,
    pretrained_models,
    pretrained_of,
    problem_of,
    text_problem,
    text_settings_of,
)

DONE, TOTAL, PATH, PROBLEM = "done", "total", "path", "problem"  # keys of the lines
_EVERY_S = 0.2
# Each tokenizer has some of them. The last one comes last: where it is, all are.
TOKENIZER_FILES = (
    "config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.json",
    TOKENIZER_CONFIG,
)


def download(model: ClipModel) -> ClipModel:
    """Fetch `model` by open_clip's own downloader, into its own place, and return it with its file.

    This needs a network, and is for whoever asked for it explicitly. Nothing that is cut off is left where it would be
    taken for the whole. Raises ModelError, before anything is fetched for one that could not be used.
    """
    text_settings = text_settings_of(model.architecture)
    if TOWER in text_settings:
        raise ModelError(f"{model.name} cannot be used: {text_problem(text_settings)}; choose another.")
    address, file = places_of(model)
    if not address and not file:
        raise ModelError(f"Nobody offers {model.name} for download; choose one of open_clip's own models.")
    try:
        if tokenizer := lacking_tokenizer(text_settings):
            _fetch_tokenizer(tokenizer)
        path = _from_hub(address) if address else from_address(file, open_clip_cache())
    except Exception as error:  # whatever its network packages raise
        raise ModelError(f"{model.name} could not be downloaded ({error}); check the network and try again.") from error
    return replace(
        model, origin="open_clip's cache", weights=path, size_bytes=path.stat().st_size, problem=problem_of(path)
    )


def places_of(model: ClipModel) -> tuple[str, str]:
    """Where open_clip says that the weights of `model` are: on the hub, and at an address; "" where they are not."""
    source = pretrained_of().get_pretrained_cfg(model.architecture, model.tag) or {}
    return source.get("hf_hub") or "", source.get("url") or ""


def _from_hub(address: str) -> Path:
    """The file of "owner/name/file" or "owner/name/"."""
    repository, _, name = address.rpartition("/")
    return Path(pretrained_of().download_pretrained_from_hf(repository, **({"filename": name} if name else {})))


def _fetch_tokenizer(name: str) -> None:
    """Fetch the files of the tokenizer called `name` into Hugging Face's cache."""
    from huggingface_hub import file_exists, hf_hub_download

    for file in TOKENIZER_FILES:
        if file == TOKENIZER_CONFIG or file_exists(name, file):
            hf_hub_download(name, file)


def from_address(address: str, place: Path) -> Path:
    """The file at `address`, in the folder `place`; open_clip writes it there under its name before it is whole."""
    unfinished = unfinished_place(address, place)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        found = Path(pretrained_of().download_pretrained_from_url(address, cache_dir=str(unfinished)))
        target = place / found.name
        os.replace(found, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def unfinished_place(address: str, place: Path) -> Path:
    """The folder in `place` in which the file at `address` lies until it is whole."""
    return place / f"unfinished-{Path(address).name}"


def main(name: str) -> None:
    """Fetch the model called `name`, and tell of it on the standard output."""
    try:
        model = named(name, pretrained_models())
        threading.Thread(target=_end_with_input, args=[model], daemon=True).start()
        _tell_progress()
        tell(**{PATH: str(download(model).weights)})
    except PseudowordError as problem:
        tell(**{PROBLEM: str(problem)})


def tell(**facts: Any) -> None:
    """Write one line."""
    print(json.dumps(facts), flush=True)


def _end_with_input(model: ClipModel) -> None:
    sys.stdin.buffer.read()
    _, file = places_of(model)
    if file:
        shutil.rmtree(unfinished_place(file, open_clip_cache()), ignore_errors=True)
    os._exit(1)  # the network may keep the main thread waiting for long


def _tell_progress() -> None:
    """Have all bars of progress, which open_clip and Hugging Face's client draw with tqdm, written as lines instead."""
    import tqdm.std

    fetched: dict[int, float] = {}
    update, told_at = tqdm.std.tqdm.update, 0.0

    def told(bar: Any, n: float | None = 1) -> bool | None:
        nonlocal told_at
        fetched[id(bar)] = fetched.get(id(bar), bar.n) + (n or 0)  # a bar that is not drawn does not count
        if bar.total and time.monotonic() > told_at + _EVERY_S:
            told_at = time.monotonic()
            tell(**{DONE: int(fetched[id(bar)]), TOTAL: int(bar.total)})
        return update(bar, n)

    tqdm.std.tqdm.update = told


if __name__ == "__main__":
    main(sys.argv[1])
