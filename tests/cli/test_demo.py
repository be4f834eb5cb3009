"""`pseudoword demo`: here with tiny models, and with the built-in one where it is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pseudoword
from pseudoword.builtin import CHECKPOINT, sample_sets
from pseudoword.cli import demo
from pseudoword.embedding import load_embedding
from pseudoword.scoring import ClipScorer
from pseudoword.text import BytePairTokenizer
from pseudoword.training.naming import check_new_word
from tests.cli.small_world import World
from tests.tiny_models import TinyModel

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tiny(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world where the built-in models are tiny ones and a demo has few steps."""
    scorer = ClipScorer.load(*world.clip)
    monkeypatch.setattr(demo, "load_chosen_model", lambda *_: TinyModel())
    monkeypatch.setattr(ClipScorer, "builtin", lambda *_: scorer)
    monkeypatch.setattr(demo, "SETTINGS", {**demo.SETTINGS, "steps": 2, "validate_every": 1, "preview_every": 2})
    return world


def report_of(world: World, *arguments: str) -> dict[str, Any]:
    return world.run("demo", *arguments, "--json").result


def test_the_demo_writes_pictures_curve_word_and_a_report_with_all_figures(tiny: World) -> None:
    report = report_of(tiny)
    assert report == json.loads(Path("demo", "report.json").read_text(encoding="utf-8"))
    assert report["files"].keys() == {"embedding", "curve", "contact_sheet", "before", "after"}
    for name in report["files"].values():
        assert Path("demo", name).is_file()
    assert load_embedding(Path("demo", "wug.safetensors")).name == "wug"
    with Image.open(Path("demo", "contact-sheet.png")) as sheet:
        assert min(sheet.size) > 200
    assert {"start likeness", "best likeness", "best editability", "best validation loss"} <= report["figures"].keys()
    assert report["start_words"]
    assert report["pseudoword"] == pseudoword.__version__
    assert report["peak_memory_mb"] > 20
    assert 0 < report["seconds"]["training"] < report["seconds"]["all"]
    assert {"unet", "text encoder"} <= report["seconds"]["phases"].keys()
    assert not report["resumed"]


def test_a_person_is_told_where_to_look(tiny: World) -> None:
    answer = tiny.run("demo", "--object", "castle", "--output", "shown")
    assert answer.code == 0, answer.err
    assert f"Look at {Path('shown', 'contact-sheet.png')}" in answer.out
    assert "likeness to the pictures:" in answer.out
    assert "generate 'a photo of wug on a red background' --embeddings" in answer.out


def test_the_demo_can_be_shown_again_and_with_something_else(tiny: World) -> None:
    first = report_of(tiny)
    again = report_of(tiny)
    assert not again["resumed"]
    assert again["figures"]["best validation loss"] == first["figures"]["best validation loss"]
    assert report_of(tiny, "--object", "castle")["object"] == "castle"


def test_an_interrupted_demo_goes_on_and_after_an_update_it_begins_anew(
    tiny: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_of(tiny)
    done = Path("demo", "run", demo.USUAL_OBJECT, "done")
    done.unlink()  # as Ctrl-C leaves it
    assert report_of(tiny)["resumed"]
    done.unlink()
    newer = TinyModel()
    newer.sha256 = "8" * 64
    monkeypatch.setattr(demo, "load_chosen_model", lambda *_: newer)
    report = report_of(tiny)
    assert not report["resumed"]
    assert report["model_sha256"] == newer.sha256


def test_a_misspelt_object_is_corrected(tiny: World) -> None:
    answer = tiny.run("demo", "--object", "castel")
    assert answer.code == 1
    assert "There is no sample set 'castel'; did you mean castle?" in answer.err
    assert "choose one of " in tiny.run("demo", "--object", "zzz").err


@pytest.mark.parametrize("name", sample_sets())
def test_every_sample_set_has_settings_that_fit(name: str) -> None:
    settings = demo.settings_for(name)
    assert settings.templates == ("style" if name.endswith("-style") else "object")
    assert demo.samples_of(name).is_dir()


def test_the_demos_word_is_no_word_of_any_vocabulary() -> None:
    check_new_word(demo.WORD, BytePairTokenizer.clip())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell it otherwise")
def test_the_peak_of_memory_is_not_that_of_the_process_which_started_this_one() -> None:
    ballast = b"x" * 500_000_000
    program = "from pseudoword.cli.peak_memory import peak_memory_mb; print(peak_memory_mb())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert 5 < float(done.stdout) < len(ballast) / 1e6


@pytest.mark.slow
@pytest.mark.skipif(not CHECKPOINT.exists(), reason="the built-in model is not there yet")
def test_the_demo_teaches_the_built_in_model(world: World) -> None:
    # In a process of its own: the memory that others in this one needed at most is no matter of the demo's.
    command = [sys.executable, "-m", "pseudoword", "demo", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])["result"]
    assert report["model"] == CHECKPOINT.stem
    assert report["figures"]["best validation loss"] < report["figures"]["start validation loss"]
    assert report["peak_memory_mb"] < 2000
