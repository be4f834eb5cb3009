"""The loaded text encoders in the real WebUI's process: the same numbers as its own, for SD 1, SD 2 and SDXL."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks.webui.place import Webui

PROGRAM = Path(__file__).with_name("inside_encoders.py")
CHECKPOINTS = ["pseudoword-mini", "random-sd2", "random-sdxl", "other-sdxl", "random-refiner"]
NOTHING = "check_nothing_is_loaded"
CHECKS = [
    part.name
    for part in ast.parse(PROGRAM.read_text(encoding="utf-8")).body
    if isinstance(part, ast.FunctionDef) and part.name.startswith("check_") and part.name != NOTHING
]


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What every check found wrong with each checkpoint, empty where nothing; all run in one process."""
    webui = Webui.named()
    data = webui.furnished(tmp_path_factory.mktemp("webui"), with_extension=False)
    clip = data / "models" / "Stable-diffusion" / "pseudoword-mini" / "tokenizer"
    found: dict[str, dict[str, str]] = webui.run(data, PROGRAM, {"clip": str(clip), "open_clip": "ViT-S-32-alt"})
    return found


def test_nothing_is_told_before_a_model_is_loaded(problems: dict[str, dict[str, str]]) -> None:
    assert problems["nothing"][NOTHING] == ""


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
@pytest.mark.parametrize("check", CHECKS)
def test_in_the_webui(check: str, checkpoint: str, problems: dict[str, dict[str, str]]) -> None:
    assert problems[checkpoint].get(check, "it was never reached") == ""
