"""`pseudoword clip-skip`: layers are compared, scored and drawn, and mistakes are named."""

from __future__ import annotations

import csv
import signal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pseudoword.jobs.strips.strip_job import StripJob
from tests.cli.small_world import Answer, World
from tests.cli.test_generate import save_word

OUTPUT = Path("clip-skip")


def compare(world: World, *arguments: object) -> Answer:
    return world.run("clip-skip", *arguments, "--model", world.model, "--steps", 1, "--seeds", 2)


def files() -> list[str]:
    return sorted(path.name for path in OUTPUT.iterdir())


def test_all_layers_are_compared_and_what_came_out_is_written(world: World) -> None:
    flags = ["--clip", *world.clip, "--layers", "all; 1=1,2=1", "--heat-map", "--json"]
    answer = compare(world, "a (red:1.2) dog", *flags)
    result = answer.result
    assert [line["layers"] for line in result["scores"]] == ["1", "2", "3", "1=0.5,2=0.5"]
    for line in result["scores"]:
        assert len(line["by_seed"]) == 2 and -1 <= line["score"] <= 1 and line["deviation"] >= 0
    assert result["scores"][0]["similarity_with_last"] == pytest.approx(1) and result["says"]
    assert files() == ["heat-map.csv", "heat-map.png", "plot.png", "scores.csv", "sheet.png"]
    assert sorted(result["files"]) == [str(OUTPUT / name) for name in files()]
    for name in ("heat-map.png", "plot.png", "sheet.png"):
        with Image.open(OUTPUT / name) as picture:
            assert picture.width >= 1000
    with (OUTPUT / "scores.csv").open(newline="") as file:
        assert [line["layers"] for line in csv.DictReader(file)] == ["1", "2", "3", "1=0.5,2=0.5"]
    progress = [line for line in answer.lines if line.get("event") == "progress"]
    assert progress[-1]["done"] == progress[-1]["total"] == 8


def test_people_get_a_table_and_a_sentence(world: World) -> None:
    answer = compare(world, "a dog", "--clip", *world.clip, "--output", "there")
    lines = answer.out.splitlines()
    assert lines[0].split()[:2] == ["layers", "score"] and lines[1].startswith("  CLIP skip 1, the last layer")
    assert "layer" in lines[5]
    assert lines[6:] == [str(Path("there", name)) for name in ("sheet.png", "scores.csv", "plot.png")]


def test_words_are_known_and_read_with_each_layer(world: World) -> None:
    save_word(Path("runs", "zxqv", "zxqv.safetensors"), "zxqv")
    save_word(Path("words", "zxqv-other.safetensors"), "zxqv-other", value=0.3)
    compare(world, "a zxqv", "--output", "one")
    compare(world, "a zxqv-other", "--words", "words", "--output", "two")
    compare(world, "a", "--output", "three")
    assert len({Path(folder, "sheet.png").read_bytes() for folder in ("one", "two", "three")}) == 3


def test_without_clip_there_are_pictures_and_the_way_to_scores(world: World) -> None:
    answer = compare(world, "a dog", "--json")
    assert answer.result["scores"] == [] and answer.result["recommendation"] is None
    assert "--clip" in answer.result["says"] and files() == ["sheet.png"]


def test_the_negative_prompt_and_the_first_seed_count(world: World) -> None:
    choices: list[list[object]] = [[], ["--negative", "red"], ["--first-seed", 5]]
    for number, flags in enumerate(choices):
        compare(world, "a dog", "--output", str(number), *flags)
    assert len({Path(str(number), "sheet.png").read_bytes() for number in range(3)}) == 3


def test_ctrl_c_keeps_what_is_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = StripJob.wait
    pressed: list[bool] = []

    def press_after_the_first(self: StripJob, timeout_s: float | None = None) -> None:
        wait(self, 0.001 if timeout_s is not None else None)
        if self.watch().done and not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(StripJob, "wait", press_after_the_first)
    flags = ["--model", world.model, "--steps", 100, "--seeds", 8, "--clip", *world.clip]
    answer = world.run("clip-skip", "a dog", *flags)
    assert answer.code == 130 and "what was made is in clip-skip" in answer.err
    assert "sheet.png" in files() and "heat-map.png" not in files()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--layers", "9"], "There is no layer 9: the text encoder has 3"),
        (["--layers", "1"], "nothing to compare the last layer with"),
        (["--layers", "last"], "'last' is not a layer"),
        (["--seeds", 0], "There are 0 seeds; give 1 to 8"),
        (["--seeds", 9], "There are 9 seeds"),
        (["--first-seed", -1], "--first-seed is -1"),
        (["--steps", 0], "0 steps"),
        (["--guidance", "nan"], "guidance is nan"),
        (["--words", "nowhere"], "'nowhere' does not exist"),
        (["--clip", "a", "b"], "'a', which is given with --clip, is not a file"),
        (["--output", "taken"], "'taken', which is no folder"),
    ],
)
def test_mistakes_are_named_in_one_sentence(world: World, flags: list[Any], said: str) -> None:
    Path("taken").write_text("")
    answer = world.run("clip-skip", "a dog", "--model", world.model, *flags)
    assert answer.code == 1 and said in answer.err and "Traceback" not in answer.err
    assert not OUTPUT.exists()


def test_a_word_of_another_model_is_named(world: World) -> None:
    save_word(Path("runs", "wide", "zxqv-wide.safetensors"), "zxqv-wide", width=768)
    answer = compare(world, "a zxqv-wide")
    assert answer.code == 1 and "'zxqv-wide' has vectors of shape" in answer.err and not OUTPUT.exists()
