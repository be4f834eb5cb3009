"""`pseudoword check`: what it says of a training set, and its exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.small_world import WORD, World
from tests.training.doubtful_sets import DOUBTFUL, fill_doubtful
from tests.training.small_runs import draw_pictures

pytest.importorskip("open_clip")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_doubtful_set_is_told_in_a_table_with_the_command_that_leaves_it_out(world: World, tmp_path: Path) -> None:
    folder = fill_doubtful(tmp_path / "set")
    answer = world.run("check", folder, "--size", 64, "--no-round-trip")  # the built-in model, which CLIP fits
    assert answer.code == 3
    lines = answer.out.splitlines()
    marked = [line.split()[1] for line in lines if line.startswith("! ") and "proposed" not in line]
    assert tuple(marked) == DOUBTFUL
    assert any(line.startswith("? 1-twemoji.png") for line in lines)
    assert any(line.startswith("x broken.png: it is no picture") for line in lines)
    assert "      It may not belong: its mean cosine" in answer.out
    assert "CLIP model: pseudoword-mini [" in answer.out
    assert f"train {folder} --name WORD --leave-out 6-stranger.png" in answer.out


def test_a_good_set_is_clean_and_ends_with_zero(world: World, tmp_path: Path) -> None:
    answer = world.run("check", world.pictures, "--model", world.model, "--size", 32, "--sheets", "sheets", "--json")
    assert answer.code == 0, answer.out
    result = answer.result
    assert [one["name"] for one in result["pictures"]] == ["0.png", "1.png", "2.png", "3.png"]
    assert all(one["psnr"] > 0 and not one["leave_out"] for one in result["pictures"])
    assert "only a hint" in result["remarks"][0] and result["skipped"] == []
    assert sorted(path.name for path in Path("sheets").iterdir()) == [f"00{n + 1}-{n}.png" for n in range(4)]
    assert any(line.get("event") == "progress" for line in answer.lines)


def test_another_clip_model_can_be_named(world: World) -> None:
    def looked_with(*flags: object) -> str:
        asked = ("check", world.pictures, "--model", world.model, "--no-round-trip", "--json")
        result = world.run(*asked, *flags).lines[-1]["result"]
        return str(result["clip"] or result["remarks"][0])

    place = ("--clip-place", world.clip[0].parent)
    assert looked_with("--clip", *world.clip).startswith("tiny-clip [")
    assert looked_with(*place).startswith("tiny-clip [")
    assert looked_with(*place, "--clip-name", "pseudoword-mini").startswith("pseudoword-mini [")
    assert "No CLIP model is called 'no-such-model'" in looked_with("--clip-name", "no-such-model")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("nowhere",), "does not exist"),
        (("broken",), "None of the 2 pictures can be used"),
        (("broken", "--size", "7"), "size is 7"),
        (("broken", "--clip", "a", "b", "--clip-name", "c"), "is not a file"),
        (("broken", "--templates", "nowhere.txt"), "template file"),
    ],
)
def test_what_cannot_be_checked_is_said(world: World, more: tuple[str, ...], said: str) -> None:
    Path("broken").mkdir()
    for name in ("a.png", "b.png"):
        Path("broken", name).write_bytes(b"no picture")
    answer = world.run("check", *more, "--model", world.model)
    assert answer.code == 1 and said in answer.err


def test_a_training_leaves_out_what_it_is_told_to(world: World) -> None:
    assert world.train("--leave-out", "9.png").err.count("no picture called '9.png'") == 1
    folder = draw_pictures(Path("set"))
    quick = ("--validate-every", "0", "--no-early-stop", "--preview-every", "0", "--steps", 2, "--start", "the dog")
    left_out = ("--leave-out", "1.png", "--leave-out", "3.png")
    answer = world.run("train", folder, "--name", WORD, "--model", world.model, *quick, *left_out, "--json")
    prepared = [line for line in answer.lines if line.get("event") == "preparing"]
    assert answer.code == 0 and prepared[-1]["total"] == 2
