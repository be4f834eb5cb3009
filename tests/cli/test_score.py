"""`pseudoword score` on folders of pictures, with a tiny CLIP."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pseudoword.cli import main
from pseudoword.scoring import ClipScorer
from tests.scoring.pictures import fill, hostile, with_prompt

pytest.importorskip("open_clip")

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(clip_flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command line with the tiny model; gives its lines of JSON by their kind."""

    def running(*arguments: object, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        given = ["score", *map(str, arguments), "--cache", str(tmp_path / "cache"), *clip_flags, "--json"]
        assert main(given) == code
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        items = [line for line in lines if line.get("event") == "item"]
        said = " ".join(line.get("message", "") for line in lines)
        progress = [line for line in lines if line.get("event") == "progress"]
        last = lines[-1].get("result", lines[-1].get("error"))
        return {"items": items, "said": said, "progress": progress, "last": last}

    return running


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_each_picture_is_scored_with_each_text(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 5)
    answer = run(tmp_path / "pictures", "--text", "a dog", "--text", "=a cat", "--csv", tmp_path / "scores.csv")
    rows = rows_of(tmp_path / "scores.csv")
    assert [Path(row["picture"]).name for row in rows] == ["0000.png", "0001.png", "0003.png", "0004.png", "0002.png"]
    for row in rows:
        cosine = float(row["cosine: a dog"])
        assert float(row["clip score: a dog"]) == pytest.approx(100 * max(cosine, 0), abs=1e-2)
        assert float(row["probability: a dog"]) + float(row["probability: =a cat"]) == pytest.approx(1, abs=1e-3)
        assert row["model"].startswith("tiny-clip [")
    best = max(rows, key=lambda row: float(row["cosine: a dog"]))
    assert answer["last"]["best"]["cosine: a dog"][0]["picture"] == best["picture"]
    assert answer["last"]["pictures"] == 5 and answer["progress"][-1]["done"] == 5 and not answer["items"]


def test_without_a_table_each_picture_is_told_as_it_comes(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 3)
    items = run(tmp_path / "pictures", "--text", "a dog")["items"]
    assert len(items) == 3 and all(-1 <= item["cosine: a dog"] <= 1 for item in items)


def test_the_second_time_all_is_known_and_the_same(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 40)
    first = run(tmp_path / "pictures", "--text", "a dog")
    second = run(tmp_path / "pictures", "--text", "a dog")
    assert first["items"] == second["items"]
    assert (first["last"]["remembered"], second["last"]["remembered"]) == (0, 40)


def test_each_picture_is_compared_with_its_own_prompt(run: Run, tmp_path: Path) -> None:
    with_prompt(tmp_path / "pictures" / "a.png", "a (dog:1.3), <lora:x:1>\nSteps: 20, Sampler: Euler, Seed: 1")
    with_prompt(tmp_path / "pictures" / "b.png", "word " * 100, seed=1)
    fill(tmp_path / "pictures" / "plain", 1)
    for _ in range(2):
        answer = run(tmp_path / "pictures", "--from-infotext")
        a, b, plain = answer["items"]
        assert a["prompt"] == "a dog" and plain["cosine"] is None and b["cosine"] is not None
        assert "1 pictures hold no prompt" in answer["said"] and "1 prompts have more than 75" in answer["said"]
    alone = run(tmp_path / "pictures", "--text", "a dog")["items"][0]
    assert alone["cosine: a dog"] == pytest.approx(a["cosine"], abs=1e-3)
    assert run(tmp_path / "pictures", "--from-infotext", "--long", "mean")["items"][1]["cosine"] != b["cosine"]


def test_classes_and_heads_have_columns_of_their_own(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 2)
    torch.save({"weight": torch.ones(1, 16), "bias": torch.zeros(1)}, tmp_path / "liking.pth")
    both = ["--class", "dog", "--class", "cat", "--templates", "openai", "--head", tmp_path / "liking.pth"]
    item = run(tmp_path / "pictures", *both)["items"][0]
    assert item["best text"] in ("dog", "cat") and "probability: cat" in item and "head: liking" in item


def test_broken_files_are_named_at_the_end_and_the_others_scored(run: Run, tmp_path: Path) -> None:
    sound, broken = hostile(tmp_path / "pictures")
    answer = run(tmp_path / "pictures", "--text", "a dog", "--text", "")
    assert {Path(item["picture"]).name for item in answer["items"]} == sound
    assert {Path(one["path"]).name for one in answer["last"]["unreadable"]} == broken
    assert all(name in answer["said"] for name in broken) and "A text is empty" in answer["said"]


def test_a_text_that_is_too_long_is_told(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 1)
    assert (
        "has 90 tokens, and the model reads 75: the rest is cut off"
        in run(tmp_path / "pictures", "--text", "dog " * 90)["said"]
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--text", "x"], "name a folder"),
        (["."], "nothing to compare with"),
        ([".", "--text", "x", "--from-infotext"], "give one of them"),
        (["nowhere", "--text", "x"], "no folder"),
        ([".", "--text", "x"], "no picture"),
        ([".", "--text", "x", "--clip-name", "other"], "give one of them"),
    ],
)
def test_what_cannot_be_is_said(
    arguments: list[str], reason: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    if "--clip-name" in arguments:
        fill(tmp_path / "empty", 1)
    assert reason in run(*arguments, code=1)["last"]


@pytest.mark.parametrize("command", [["score", "--text", "x"], ["search"]])
def test_a_file_that_is_no_cache_is_not_replaced(command: list[str], clip_flags: list[str], tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 1)
    precious = tmp_path / "precious.db"
    precious.write_text("precious")
    assert main([*command, str(tmp_path / "pictures"), "--cache", str(precious), *clip_flags]) == 1
    assert precious.read_text() == "precious"


def test_ctrl_c_keeps_what_is_done(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "pictures", 80)
    encode, calls = ClipScorer.features_of_pixels, []

    def interrupted(self: ClipScorer, pixels: torch.Tensor) -> torch.Tensor:
        calls.append(len(pixels))
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)
        return encode(self, pixels)

    monkeypatch.setattr(ClipScorer, "features_of_pixels", interrupted)
    answer = run(tmp_path / "pictures", "--text", "a dog", "--csv", tmp_path / "scores.csv", code=130)
    done = len(rows_of(tmp_path / "scores.csv"))
    assert 0 < done < 80 and f"Stopped after {done} of 80" in answer["last"]
    assert run(tmp_path / "pictures", "--text", "a dog", "--csv", tmp_path / "scores.csv")["last"]["remembered"] == done
    assert len(rows_of(tmp_path / "scores.csv")) == 80


def test_a_full_disk_leaves_the_former_table_and_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "pictures", 2)
    table = tmp_path / "scores.csv"
    run(tmp_path / "pictures", "--text", "a dog", "--csv", table)
    before = table.read_text()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = run(tmp_path / "pictures", "--text", "a cat", "--csv", table, code=1)
    assert "No space left" in answer["last"] and table.read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "pictures", "scores.csv"]


def test_parquet_is_written_where_pyarrow_is(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 3)
    arguments = (tmp_path / "pictures", "--text", "a dog", "--parquet", tmp_path / "scores.parquet")
    try:
        from pyarrow import parquet
    except ImportError:
        assert "pip install pyarrow" in run(*arguments, code=1)["last"]
        return
    run(*arguments)
    table = parquet.read_table(tmp_path / "scores.parquet").to_pydict()
    assert len(table["picture"]) == 3 and all(-1 <= cosine <= 1 for cosine in table["cosine: a dog"])


def test_the_list_says_what_is_here_and_what_would_have_to_be_downloaded(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "--list-clips", "--clip-place", str(clip), "--json"]) == 0
    models = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]["models"]
    origins = {model["name"]: model["origin"] for model in models}
    assert origins["pseudoword-mini"] == "built in" and origins["tiny-clip"] == "given"
    assert "ViT-B-32:laion2b_s34b_b79k" in origins
    assert sum(model["default"] for model in models) == 1


def test_a_model_is_chosen_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "pictures", 1)
    command = ["score", str(tmp_path / "pictures"), "--text", "x", "--cache", str(tmp_path / "cache")]
    assert main([*command, "--clip-name", "pseudoword-mini"]) == 0
    said = capsys.readouterr()
    assert "CLIP model: pseudoword-mini [" in said.err and "1 pictures scored" in said.out
