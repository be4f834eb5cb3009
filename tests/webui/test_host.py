"""The host in the real WebUI's process: the same numbers as the WebUI's own, and the model left as it was found.

On the built-in checkpoint; PSEUDOWORD_WEBUI_CHECKPOINTS, paths parted as in PATH, names more, each with its YAML.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("inside_host.py")
WEBUI, PYTHON = os.environ.get("PSEUDOWORD_WEBUI_DIR"), os.environ.get("PSEUDOWORD_WEBUI_PYTHON")
CHECKS = [
    part.name
    for part in ast.parse(PROGRAM.read_text(encoding="utf-8")).body
    if isinstance(part, ast.FunctionDef) and part.name.startswith("check_")
]
FLAGS = ["--skip-torch-cuda-test", "--use-cpu", "all", "--no-half", "--do-not-download-clip", "--disable-nan-check"]
CHECKPOINTS = [path for path in os.environ.get("PSEUDOWORD_WEBUI_CHECKPOINTS", "").split(os.pathsep) if path]
SDXL = "SDXL, small and random"
WAYS = {"as it is": [], "--medvram": ["--medvram"], SDXL: ["--skip-load-model-at-start"]} | {
    Path(path).stem: ["--ckpt", path] for path in CHECKPOINTS
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (WEBUI and PYTHON), reason="PSEUDOWORD_WEBUI_DIR and PSEUDOWORD_WEBUI_PYTHON say where a WebUI is"
    ),
]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built-in checkpoint twice, under two names, so that nothing of the WebUI's own is touched."""
    folder = tmp_path_factory.mktemp("webui")
    models = folder / "models" / "Stable-diffusion"
    models.mkdir(parents=True)
    builtin = ROOT / "pseudoword" / "builtin"
    shutil.copytree(builtin / "pseudoword-mini", models / "pseudoword-mini")
    for name in ("pseudoword-mini", "the-same-again"):
        shutil.copyfile(builtin / "pseudoword-mini.yaml", models / f"{name}.yaml")
        shutil.copyfile(builtin / "pseudoword-mini.safetensors", models / f"{name}.safetensors")
    return folder


@lru_cache
def problems(way: str, data: Path) -> dict[str, str]:
    """What every check found wrong, empty where nothing; all run in one process."""
    assert WEBUI and PYTHON
    command = [PYTHON, str(PROGRAM), *FLAGS, "--data-dir", str(data), *WAYS[way]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if way == SDXL:
        tokenizer = data / "models" / "Stable-diffusion" / "pseudoword-mini" / "tokenizer"
        environment["MADE_OF"] = f"{tokenizer}|ViT-S-32-alt"
    done = subprocess.run(command, cwd=data, env=environment, capture_output=True, text=True, timeout=900)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"check"')]
    assert found, done.stdout[-3000:] + done.stderr[-3000:]
    return {one["check"]: one["problem"] for one in found}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("check", CHECKS)
def test_in_the_webui(check: str, way: str, data: Path) -> None:
    assert problems(way, data).get(check, "it was never reached") == ""
