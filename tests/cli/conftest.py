"""A small world for each test of the command line; the model in it is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import tiny_models
from tests.cli.small_world import World
from tests.training.small_runs import draw_pictures


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with model, pictures and scorer."""
    pytest.importorskip("diffusers")
    folder = tmp_path_factory.mktemp("made")
    tiny_models.save_folder(folder / "tiny-model")
    tiny_models.save_open_clip(folder / "tiny-clip")
    draw_pictures(folder / "pictures")
    return folder


@pytest.fixture(scope="session")
def clip_flags(clip: Path) -> list[str]:
    """The tiny CLIP model, as a command line names it."""
    return ["--clip", str(clip / "open_clip_config.json"), str(clip / "open_clip_model.safetensors")]


@pytest.fixture
def world(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> World:
    """The current folder is empty, and all that is needed lies elsewhere."""
    monkeypatch.chdir(tmp_path)
    clip = (made / "tiny-clip" / "open_clip_config.json", made / "tiny-clip" / "open_clip_model.safetensors")
    return World(made / "tiny-model", made / "pictures", clip, capsys)
