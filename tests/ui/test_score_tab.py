"""The tab that scores pictures: its handlers, called as Gradio calls them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pseudoword.jobs.scoring.scorings import Scorings
from pseudoword.jobs.server.people import Person
from pseudoword.scoring import OPENAI_SEVEN_TEMPLATES, PLAIN_TEMPLATE
from pseudoword.scoring.score_panel import DEFAULT_MODEL
from pseudoword.ui import score_tab
from pseudoword.ui.score_handlers import (
    CLASSES,
    LONG_CHOICES,
    TEMPLATE_CHOICES,
    TEXTS,
    cancelled,
    cancelling_download,
    downloading,
    dropped,
    emptied,
    models_elsewhere,
    models_offered,
    own_prompts,
    pictures_in,
    started,
)
from tests.jobs.small_scorings import ended
from tests.scoring.pictures import fill, hostile, picture, with_prompt
from tests.ui.built_page import built, buttons_in, ids_in

pytest.importorskip("open_clip")


def given(**changes: Any) -> list[Any]:
    """What the form holds, in the order of its fields."""
    values = {
        "tray": [],
        "folder": "",
        "addresses": "",
        "way": TEXTS,
        "texts": "a cat\n\n  a dog ",
        "templates": TEMPLATE_CHOICES["plain"],
        "own": "",
        "long": LONG_CHOICES["cut"],
        "model": DEFAULT_MODEL,
        "head": "",
    }
    return list({**values, **changes}.values())


def test_the_tab_is_built_and_its_buttons_are_wired(scorings: Scorings) -> None:
    config = built(lambda: score_tab.build(scorings))
    wanted = ["Take all away", "Their prompts as texts", "Score", "Cancel", "Download it", "Cancel", "Refresh"]
    assert buttons_in(config) == wanted and len(config["dependencies"]) == 10
    ids = ids_in(config)
    assert len(ids) == len(set(ids))


def test_addresses_are_asked_for_where_they_are_fetched(scorings: Scorings) -> None:
    for may_fetch in (False, True):
        of_host = Scorings(replace(scorings.host, may_fetch=may_fetch))
        config = built(partial(score_tab.build, of_host))
        [field] = [
            part for part in config["components"] if part["props"].get("elem_id") == "pseudoword_score_addresses"
        ]
        assert field["props"]["visible"] is may_fetch


def test_the_tray_grows_with_what_is_dropped_and_is_emptied(tmp_path: Path) -> None:
    paths = [str(path) for path in fill(tmp_path, 3)]
    tray, gallery, count, field = dropped([], paths[:2])
    assert tray == paths[:2] and gallery["visible"] and "2 pictures" in count and field is None
    tray, gallery, count, _ = dropped(tray, paths[2])
    assert tray == paths and gallery["value"] == paths and "3 pictures" in count
    assert all(isinstance(update, dict) for update in dropped(tray, None))  # the field was emptied: nothing changes
    assert emptied()[0] == [] and emptied()[1]["visible"] is False


def test_the_prompts_in_the_pictures_become_texts(tmp_path: Path) -> None:
    paths = [
        str(with_prompt(tmp_path / "a.png", "a (red:1.3) cat, <lora:x:1>\nSteps: 1, Sampler: a, Seed: 1")),
        str(with_prompt(tmp_path / "b.png", "a dog\nSteps: 1, Sampler: a, Seed: 1")),
    ]
    texts, said = own_prompts(paths, "")
    assert texts == "a red cat\na dog" and "pseudoword-good" in said
    [bare] = fill(tmp_path / "bare", 1)
    assert "1 of 3 pictures hold no prompt" in own_prompts([*paths, str(bare)], "")[1]
    assert "None of the pictures" in own_prompts([str(bare)], "")[1]
    assert "no pictures yet" in own_prompts([], "")[1]


def test_texts_are_scored_line_by_line(scorings: Scorings, tmp_path: Path) -> None:
    paths = [str(path) for path in fill(tmp_path / "pictures", 2)]
    said, html, id = started(scorings, None, *given(tray=paths))
    assert said == "" and id is not None and f'data-scores="{id}"' in html
    result = ended(scorings.job(id)).watch().result
    assert result is not None and result.labels == ("a cat", "a dog") and not result.are_classes
    assert result.pictures == ("0000.png", "0001.png") and result.model.startswith("tiny-clip [")


def test_pictures_of_one_name_are_told_apart_by_numbers(tmp_path: Path) -> None:
    here, there = (str(with_prompt(tmp_path / place / "cat.png", "a cat")) for place in ("here", "there"))
    assert [picture.name for picture in pictures_in([here, there, here])] == ["cat.png", "cat (2).png", "cat.png"]


@pytest.mark.parametrize(
    ("templates", "wanted"),
    [
        (TEMPLATE_CHOICES["plain"], PLAIN_TEMPLATE),
        (TEMPLATE_CHOICES["openai"], OPENAI_SEVEN_TEMPLATES),
        (TEMPLATE_CHOICES["own"], ("a drawing of a {}", "{}")),
    ],
)
def test_classes_are_scored_in_their_sentences(
    scorings: Scorings, tmp_path: Path, templates: str, wanted: tuple[str, ...]
) -> None:
    fill(tmp_path / "pictures", 2)
    form = given(folder=str(tmp_path / "pictures"), way=CLASSES, templates=templates, own="a drawing of a {}\n{}")
    _, _, id = started(scorings, None, *form)
    assert id is not None
    job = ended(scorings.job(id))
    assert job._request.templates == wanted
    result = job.watch().result
    assert result is not None and result.are_classes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "no pictures"),
        ({"folder": "x", "texts": " \n"}, "nothing to compare with"),
        ({"folder": "x", "way": CLASSES, "templates": TEMPLATE_CHOICES["own"]}, "no template"),
        ({"addresses": "https://example.org/<b>"}, "fetches no pictures"),
    ],
)
def test_what_is_missing_is_said(scorings: Scorings, changes: dict[str, str], said: str) -> None:
    told, _, id = started(scorings, "before", *given(**changes))
    assert "pseudoword-warning" in told and said in told and "<b>" not in told and id == "before"


def test_who_scores_anew_ends_what_went_before(scorings: Scorings, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 2)
    form = given(folder=str(tmp_path / "pictures"))
    assert "No pictures are being scored" in cancelled(scorings, None)
    assert "No pictures are being scored" in cancelled(scorings, "forgotten")
    with scorings._turns:
        _, _, first = started(scorings, None, *form)
        _, _, second = started(scorings, first, *form)
        assert first is not None and second is not None
        assert cancelled(scorings, second) == ""
    assert [ended(scorings.job(id)).watch().state for id in (first, second)] == ["cancelled"] * 2


def test_what_cannot_be_read_is_shown_by_a_tile_that_says_why(tmp_path: Path) -> None:
    _, unreadable = hostile(tmp_path)
    broken = sorted(unreadable - {"gone.png"})
    _, gallery, count, _ = dropped([], [str(tmp_path / name) for name in (*broken, "cmyk.jpg")])
    *tiles, sound = gallery["value"]
    assert sound == str(tmp_path / "cmyk.jpg") and f"{len(broken) + 1} pictures" in count
    for name, (tile, reason) in zip(broken, tiles, strict=True):
        assert tile.width == tile.height and len(tile.getcolors(10_000)) > 1, "something is written on it"
        assert reason.startswith(f"{name}: ") and str(tmp_path) not in reason


def test_formats_that_browsers_do_not_show_are_shown_all_the_same(tmp_path: Path) -> None:
    picture(1, (3000, 20)).save(tmp_path / "scan.tif")
    shown = dropped([], [str(tmp_path / "scan.tif")])[1]["value"][0]
    assert shown.width == 1024


def test_on_a_server_for_several_people_admins_download_models(scorings: Scorings) -> None:
    told = downloading(scorings, models_elsewhere(scorings)[0], Person("name:bob", "bob"))
    assert "Only admins download CLIP models" in told and "--pseudoword-admin" in told
    assert scorings.downloads.latest is None
    assert "No model is chosen" in downloading(scorings, None, Person("name:ann", "ann", is_admin=True))


def test_models_are_offered_and_others_downloaded_when_asked(
    scorings: Scorings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody is there: no test fetches a model
    offered = models_offered(scorings)
    assert offered[:3] == [DEFAULT_MODEL, "pseudoword-mini", "tiny-clip"]
    elsewhere = models_elsewhere(scorings)
    assert elsewhere and not set(elsewhere) & set(offered)
    assert "No model is chosen" in downloading(scorings, None)
    assert "already" in downloading(scorings, "tiny-clip")
    assert downloading(scorings, elsewhere[0]) == ""
    assert "is being downloaded; wait for it, or cancel it" in downloading(scorings, elsewhere[1])
    assert cancelling_download(scorings) == ""
    assert "Nothing is being downloaded" in cancelling_download(scorings)


def test_names_of_pictures_stay_text(scorings: Scorings, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 1)
    _, html, _ = started(scorings, None, *given(folder=str(tmp_path / "pictures"), texts="<script>"))
    assert re.fullmatch(r'<div class="pseudoword-scores" data-scores="[\w-]+"></div>', html)
