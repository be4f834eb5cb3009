"""Which embeddings a prompt uses, and the layer that each of them was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from modules import extra_networks, prompt_parser

from ..embedding import load_embedding
from ..errors import PseudowordError


def clip_skips_of_words(net: Any, prompt: str, steps: int) -> dict[str, int]:
    """The CLIP skip of every embedding in `prompt` whose file says one, by name, in the order of the prompt.

    `steps` is for prompts that change on the way: the embeddings of all their forms count.
    """
    known = {word.name: clip_skip_of(word.filename) for word in embeddings_in(net, prompt, steps)}
    return {name: clip_skip for name, clip_skip in known.items() if clip_skip is not None}


def embeddings_in(net: Any, prompt: str, steps: int) -> list[Any]:
    """The WebUI's embeddings that `net`, its model, finds in `prompt`."""
    text, _ = extra_networks.parse_prompt(prompt)
    _, parts, _ = prompt_parser.get_multicond_prompt_list([text])
    schedules = prompt_parser.get_learned_conditioning_prompt_schedules(parts, steps)
    lines: Sequence[str] = [line for schedule in schedules for _, line in schedule]
    chunks_of_lines, _ = net.cond_stage_model.process_texts(lines)
    return [fix.embedding for chunks in chunks_of_lines for chunk in chunks for fix in chunk.fixes]


def clip_skip_of(filename: str | None) -> int | None:
    """The CLIP skip that an embedding's file says, None where it says nothing or cannot be read."""
    if not filename:
        return None
    try:
        status = Path(filename).stat()
    except OSError:
        return None
    return _read_clip_skip(Path(filename), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _read_clip_skip(path: Path, _changed: int, _size: int) -> int | None:
    try:
        return load_embedding(path).metadata.clip_skip
    except PseudowordError:
        return None
