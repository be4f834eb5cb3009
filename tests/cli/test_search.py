"""`pseudoword search` on folders of pictures, with a tiny CLIP."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pseudoword.cli import main
from pseudoword.scoring import ClipScorer
from tests.scoring.pictures import fill, hostile, picture, with_prompt

pytest.importorskip("open_clip")

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(clip_flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command line with the tiny model; gives its lines of JSON by their kind."""

    def running(*arguments: object, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        kept = ["--cache", str(tmp_path / "cache"), "--index", str(tmp_path / "index")]
        assert main(["search", *map(str, arguments), *kept, *clip_flags, "--json"]) == code
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return {
            "hits": [line for line in lines if line.get("event") == "item"],
            "said": " ".join(line.get("message", "") for line in lines),
            "progress": [line for line in lines if line.get("event") == "progress"],
            "last": lines[-1].get("result", lines[-1].get("error")),
        }

    return running


def names(answer: dict[str, Any]) -> list[str]:
    return [Path(hit["picture"]).name for hit in answer["hits"]]


def test_the_best_come_first_and_the_second_time_nothing_is_read(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 12)
    first = run(tmp_path / "pictures", "a dog", "--count", 5)
    cosines = [hit["cosine"] for hit in first["hits"]]
    assert len(cosines) == 5 and cosines == sorted(cosines, reverse=True) and first["progress"][-1]["done"] == 12
    assert first["last"] == {"model": first["last"]["model"], "pictures": 12, "found": 5}
    picture(40).save(tmp_path / "pictures" / "new.png")
    (tmp_path / "pictures" / "0000.png").unlink()
    before = {f"{number:04}.png" for number in range(1, 12)}
    assert set(names(run(tmp_path / "pictures", "--as-it-is", "--count", 50))) == before
    assert set(names(run(tmp_path / "pictures", "--count", 50))) == before | {"new.png"}
    assert not names(run(tmp_path / "pictures", "--until", "2001-01-01"))


def test_a_text_that_is_too_long_is_told(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 2)
    assert "the rest is cut off" in run(tmp_path / "pictures", "word " * 99)["said"]
    assert "cut off" not in run(tmp_path / "pictures", "a dog")["said"]


def test_pictures_like_another_one(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 9)
    picture(4).save(tmp_path / "asked.png")
    answer = run(tmp_path / "pictures", "--like", tmp_path / "asked.png", "--count", 2)
    assert names(answer)[0] == "0004.png" and answer["hits"][0]["cosine"] == pytest.approx(1, abs=1e-3)


def test_filters_and_facts(run: Run, tmp_path: Path) -> None:
    facts = "\nSteps: 1, Sampler: a, Seed: 1, Model: one"
    for number, word in enumerate(("red dog", "red cat", "blue dog")):
        with_prompt(tmp_path / "pictures" / f"{word}.png", f"a {word}{facts}", number)
    answer = run(tmp_path / "pictures", "--words", "red", "--checkpoint", "one")
    assert set(names(answer)) == {"red dog.png", "red cat.png"}
    assert all(hit["checkpoint"] == "one" and hit["prompt"] and hit["score"] is not None for hit in answer["hits"])
    assert not names(run(tmp_path / "pictures", "--least", 101))


def test_broken_files_are_named(run: Run, tmp_path: Path) -> None:
    sound, _ = hostile(tmp_path / "pictures")
    answer = run(tmp_path / "pictures", "x", "--count", 50)
    assert set(names(answer)) == sound and "huge.png was left out" in answer["said"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "name a folder"),
        (["nowhere"], "is no folder"),
        ([".", "text", "--like", "x.png"], "give one of them"),
        ([".", "--like", "x.png"], "cannot be read"),
        ([".", "--count", "0"], "--count is 0"),
        ([".", "--since", "soon"], "is no day"),
    ],
)
def test_what_cannot_be_is_said(
    arguments: list[str], reason: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert reason in run(*arguments, code=1)["last"]


def test_ctrl_c_keeps_what_was_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "pictures", 80)
    encode, calls = ClipScorer.features_of_pixels, []

    def interrupted(self: ClipScorer, pixels: torch.Tensor) -> torch.Tensor:
        calls.append(len(pixels))
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)
        return encode(self, pixels)

    monkeypatch.setattr(ClipScorer, "features_of_pixels", interrupted)
    assert "what was read is kept" in run(tmp_path / "pictures", "x", code=130)["last"]
    assert run(tmp_path / "pictures", "x", "--as-it-is")["last"]["pictures"] == calls[0] < 80
    assert run(tmp_path / "pictures", "x")["last"]["pictures"] == 80
