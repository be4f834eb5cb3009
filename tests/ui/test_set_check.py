"""The check of a training set in the panel: its handlers, called as Gradio calls them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pseudoword.jobs.training.trainings import Trainings
from pseudoword.ui import training_panel
from pseudoword.ui.set_check import cancelled, forgotten, ordered, started, told
from pseudoword.ui.training_handlers import NEW_WORD, preset_values
from pseudoword.ui.training_handlers import started as training_started
from tests.jobs.small_checks import ended
from tests.jobs.small_host import small_host, wait_until
from tests.training.small_runs import WORD, draw_pictures
from tests.ui.built_page import built, ids_in

pytest.importorskip("open_clip")


@pytest.fixture
def trainings(tmp_path: Path) -> Iterator[Trainings]:
    found = Trainings(small_host(tmp_path / "runs"))
    yield found
    found.end()


def press_check(
    trainings: Trainings, files: list[str] | None = None, folder: str = "", latest: str | None = None
) -> tuple[Any, ...]:
    """Press the button with 'quick look' chosen."""
    return started(trainings, latest, files, folder, *preset_values(trainings, "quick look"))


def checked(trainings: Trainings, files: list[str] | None = None, folder: str = "") -> str:
    """The id of a check that has ended."""
    said, _, id, _ = press_check(trainings, files, folder)
    assert said == "" and ended(trainings.checks.job(id)).state == "finished"
    return str(id)


def start_training(trainings: Trainings, without: list[str], files: list[str] | None = None, folder: str = "") -> str:
    expert = preset_values(trainings, "quick look")
    return training_started(trainings, files, folder, WORD, "the dog", NEW_WORD, *expert, left_out=without)


def test_the_panel_has_the_check(trainings: Trainings) -> None:
    ids = ids_in(built(lambda: training_panel.build(trainings)))
    assert {f"pseudoword_check{part}" for part in ("", "_cancel", "_message", "_place", "_order")} <= set(ids)


def test_a_check_shows_its_place_and_nothing_is_left_out(trainings: Trainings, tmp_path: Path) -> None:
    said, place, id, without = press_check(trainings, folder=f" {draw_pictures(tmp_path / 'given')} ")
    assert said == "" and without == []
    assert f'data-check="{id}"' in place and 'data-left-out="[]"' in place


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no pictures yet"),
        ({"folder": "/nowhere/at/all"}, "does not exist"),
        ({"files": ["a.png"], "folder": "/tmp"}, "one of the two"),
    ],
)
def test_what_is_missing_is_said(trainings: Trainings, given: dict[str, Any], said: str) -> None:
    message, _, latest, _ = press_check(trainings, **given)
    assert "pseudoword-warning" in message and said in message and latest is None


def test_pictures_of_a_folder_are_left_out_of_the_training_and_taken_back(trainings: Trainings, tmp_path: Path) -> None:
    folder = draw_pictures(tmp_path / "given")
    id = checked(trainings, folder=str(folder))
    emptied, said, place, without, gallery = ordered(trainings, "[2, 0, 2]", id, None)
    assert emptied == "" and "0.png, 2.png are left out of the training; the files stay" in said
    assert without == [str(folder / "0.png"), str(folder / "2.png")] and 'data-left-out="[0, 2]"' in place
    assert "value" not in gallery  # it shows uploads alone
    assert f"Learning {WORD}" in start_training(trainings, without, folder=str(folder))
    assert trainings.latest is not None
    job = trainings.latest
    wait_until(lambda: job.watch().prepared[1] > 0)
    assert job.watch().prepared[1] == 2
    assert sorted(path.name for path in folder.iterdir()) == ["0.png", "1.png", "2.png", "3.png"]
    _, said, place, without, _ = ordered(trainings, "[]", id, None)
    assert "No picture is left out" in said and without == [] and 'data-left-out="[]"' in place


def test_uploads_are_left_out_and_are_no_longer_among_the_pictures_that_are_shown(
    trainings: Trainings, tmp_path: Path
) -> None:
    files = [str(path) for path in sorted(draw_pictures(tmp_path / "given").iterdir())]
    (tmp_path / "given" / "3.txt").write_text("a disc")
    given = [*files, str(tmp_path / "given" / "3.txt")]
    id = checked(trainings, given)
    _, said, _, without, gallery = ordered(trainings, "[1]", id, given)
    assert "1.png is left out" in said and without == [files[1]]
    assert gallery["value"] == [files[0], *files[2:]] and gallery["visible"] is True
    assert f"Learning {WORD}" in start_training(trainings, without, given)
    kept = {path.name for path in (trainings.host.runs / WORD / "pictures").iterdir()}
    assert kept == {"0.png", "2.png", "3.png", "3.txt"}


def test_not_all_can_be_left_out(trainings: Trainings, tmp_path: Path) -> None:
    folder = draw_pictures(tmp_path / "given")
    said = start_training(trainings, [str(path) for path in folder.iterdir()], folder=str(folder))
    assert "All pictures are left out" in said and trainings.latest is None


@pytest.mark.parametrize("order", ["[9]", "[-1]", "{}", "x", '["0"]', "[true]", "[0.5]"])
def test_an_order_that_makes_no_sense_is_refused(trainings: Trainings, tmp_path: Path, order: str) -> None:
    id = checked(trainings, folder=str(draw_pictures(tmp_path / "given")))
    emptied, said, _, _, _ = ordered(trainings, order, id, None)
    assert emptied == "" and "pseudoword-warning" in said


def test_an_order_for_a_check_that_is_gone_says_so(trainings: Trainings) -> None:
    assert "no longer kept" in ordered(trainings, "[0]", None, None)[1]
    assert all("value" not in update for update in ordered(trainings, "", None, None))  # as when the field is emptied


def test_a_check_is_cancelled_by_its_button_by_another_and_by_other_pictures(
    trainings: Trainings, tmp_path: Path
) -> None:
    folder = str(draw_pictures(tmp_path / "given"))
    assert "No pictures are being checked" in cancelled(trainings, None)
    with trainings.host.turns:
        first = press_check(trainings, folder=folder)[2]
        assert cancelled(trainings, first) == ""
        second = press_check(trainings, folder=folder)[2]
        third = press_check(trainings, folder=folder, latest=second)[2]
        assert forgotten(trainings, third) == ("", "", None, [])
    assert [ended(trainings.checks.job(id)).state for id in (first, second, third)] == ["cancelled"] * 3
    assert "No pictures are being checked" in cancelled(trainings, first)
    assert all("value" not in update for update in forgotten(trainings, None))


def test_names_are_text_and_not_html() -> None:
    assert "<b>" not in told(["<b>.png"])
    assert "a, b, c, d, e and 2 more are left out" in told(list("abcdefg"))


def test_the_place_is_found_by_the_page_s_script(trainings: Trainings, tmp_path: Path) -> None:
    id = checked(trainings, folder=str(draw_pictures(tmp_path / "given")))
    place = ordered(trainings, "[1]", id, None)[2]
    found = re.fullmatch(r'<div class="pseudoword-set-check" data-check="(.+)" data-left-out="(.+)"></div>', place)
    assert found is not None and found[1] == id and json.loads(found[2]) == [1]
