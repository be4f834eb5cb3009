"""What prompts become with chosen layers, in the real WebUI's process, with models of every kind that it knows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks.webui.place import Webui as Program

PROGRAM = Path(__file__).with_name("inside_clip_skip.py")
CHECKPOINTS = ["pseudoword-mini", "random-sd2", "random-sdxl", "random-refiner"]
CHECKS = [
    part.name
    for part in ast.parse(PROGRAM.read_text(encoding="utf-8")).body
    if isinstance(part, ast.FunctionDef) and part.name.startswith("check_")
]


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What every check found wrong with each checkpoint, empty where nothing; all run in one process."""
    program = Program.named()
    data = program.furnished(tmp_path_factory.mktemp("webui"), with_extension=False)
    clip = data / "models" / "Stable-diffusion" / "pseudoword-mini" / "tokenizer"
    found: dict[str, dict[str, str]] = program.run(data, PROGRAM, {"clip": str(clip), "open_clip": "ViT-S-32-alt"})
    return found


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
@pytest.mark.parametrize("check", CHECKS)
def test_what_prompts_become(check: str, checkpoint: str, problems: dict[str, dict[str, str]]) -> None:
    assert problems[checkpoint].get(check, "it was never reached") == ""
