"""The tabs that show strips of pictures: their handlers, called as Gradio calls them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pseudoword.diffusion import LoadedEncoders
from pseudoword.embedding import save_embedding
from pseudoword.jobs.host import Host
from pseudoword.jobs.library.inspector import Inspector
from pseudoword.jobs.strips.strip_job import StripJob
from pseudoword.ui import between_tab, vectors_tab
from pseudoword.ui.strip_form import cancelled, seeds_from, started
from tests.inspect.words import random_rows, word
from tests.jobs.small_host import PATIENCE_S, small_host

CUP, MOON = "cup.safetensors", "moon.safetensors"
PROMPT = "a photo of {}"


@pytest.fixture
def inspector(tmp_path: Path) -> Inspector:
    """Its library has a cup and a moon, of three vectors each."""
    host, library = small_host(tmp_path / "runs"), tmp_path / "embeddings"
    library.mkdir()
    for seed, name in enumerate(("cup", "moon")):
        save_embedding(word(random_rows(3, seed=seed), name), library / f"{name}.safetensors")
    model = host.model()
    loaded = LoadedEncoders(model.title, model.sha256, model.architecture, model.text_encoders)
    return read(replace(host, encoders=lambda: loaded, library=lambda: [library]))


def read(host: Host) -> Inspector:
    """An inspector that has read its library."""
    inspector = Inspector(host)
    inspector.reader().table()
    assert inspector.labels() == [CUP, MOON]
    return inspector


def press(inspector: Inspector, *given: Any, latest: str | None = None, tab: Any = vectors_tab, seeds: Any = 2) -> Any:
    """Press the button of a tab; returns what is told, what is shown, and the strip's id."""
    return started(inspector, lambda: tab.rows(inspector, *given), latest, seeds, 5, 4, 5.0)


def shown(inspector: Inspector, answer: Any) -> StripJob:
    """The strip that the page is given to show."""
    said, html, id = answer
    found = re.fullmatch(r'<div class="pseudoword-strip" data-strip="([\w-]+)"></div>', html)
    assert said == "" and found is not None and found[1] == id
    job = inspector.strips.job(id)
    job.wait(PATIENCE_S)
    return job


@pytest.mark.parametrize(
    ("tab", "buttons", "lists"),
    [
        (vectors_tab, ["Show what each vector does", "Cancel"], [["none", CUP, MOON]]),
        (between_tab, ["Show the way", "Cancel"], [[CUP, MOON]]),
    ],
)
def test_a_tab_is_built_and_its_buttons_are_wired(
    inspector: Inspector, tab: Any, buttons: list[str], lists: list[list[str]]
) -> None:
    async def build() -> tuple[gr.Blocks, Any]:
        with gr.Blocks() as page:
            chosen = gr.Dropdown([CUP, MOON])
            offered = tab.build(inspector, chosen)
        return page, offered

    page, offered = asyncio.run(build())
    config = page.config
    assert [part["props"]["value"] for part in config["components"] if part["type"] == "button"] == buttons
    assert len(config["dependencies"]) == 2
    assert [choices() for _, choices in offered] == lists
    assert all(isinstance(dropdown, gr.Dropdown) for dropdown, _ in offered)


def test_ids_of_both_tabs_are_their_own(inspector: Inspector) -> None:
    async def build() -> gr.Blocks:
        with gr.Blocks() as page:
            chosen = gr.Dropdown([])
            vectors_tab.build(inspector, chosen)
            between_tab.build(inspector, chosen)
        return page

    props = [part["props"] for part in asyncio.run(build()).config["components"]]
    ids = [one["elem_id"] for one in props if one.get("elem_id")]
    assert len(ids) == len(set(ids)) > 10 and all(id.startswith("pseudoword_") for id in ids)


def test_what_each_vector_does_is_shown_of_one_or_two_embeddings(inspector: Inspector) -> None:
    seen = shown(inspector, press(inspector, PROMPT, CUP, "none")).watch()
    assert (seen.state, seen.made, seen.seeds, seen.steps) == ("finished", (4,), (5, 6), 4)
    seen = shown(inspector, press(inspector, PROMPT, CUP, MOON, seeds=1)).watch()
    assert seen.made == (4, 4) and [labels[0] for labels in seen.labels] == ["cup", "moon"]


def test_the_way_between_two_embeddings_is_shown(inspector: Inspector) -> None:
    seen = shown(inspector, press(inspector, PROMPT, CUP, MOON, 5, tab=between_tab)).watch()
    assert seen.state == "finished" and seen.labels == (("cup", "25 %", "50 %", "75 %", "moon"),)


@pytest.mark.parametrize(
    ("tab", "given", "said"),
    [
        (vectors_tab, (PROMPT, None, "none"), "Choose an embedding"),
        (vectors_tab, ("a photo", CUP, "none"), "write it once"),
        (vectors_tab, (PROMPT, "<b>gone</b>", "none"), "There is no embedding &#x27;&lt;b&gt;gone"),
        (between_tab, (PROMPT, CUP, None, 7), "Choose an embedding above"),
        (between_tab, (PROMPT, None, MOON, 7), "Choose an embedding above"),
        (between_tab, (PROMPT, CUP, MOON, 1), "2 to 100"),
        (between_tab, (PROMPT, CUP, MOON, None), "how many pictures"),
    ],
)
def test_what_is_missing_is_said_and_what_is_shown_stays(
    inspector: Inspector, tab: Any, given: tuple[Any, ...], said: str
) -> None:
    told, place, id = press(inspector, *given, tab=tab, latest="before")
    assert "pseudoword-warning" in told and said in told and "<b>" not in told
    assert "value" not in place and id == "before"


def test_an_empty_field_is_asked_for(inspector: Inspector) -> None:
    assert "how many seeds" in press(inspector, PROMPT, CUP, "none", seeds=None)[0]


def test_without_a_model_there_is_no_way(inspector: Inspector) -> None:
    bare = read(replace(inspector.host, encoders=lambda: None))
    assert "No model is loaded" in press(bare, PROMPT, CUP, MOON, 7, tab=between_tab)[0]


def test_a_strip_is_cancelled_by_the_button_and_by_the_next_one(inspector: Inspector) -> None:
    slow = read(replace(inspector.host, slice_s=lambda: 0.0))
    assert "No pictures are being made" in cancelled(slow, None)
    assert "No pictures are being made" in cancelled(slow, "forgotten")
    with slow.host.turns:
        first = press(slow, PROMPT, CUP, "none")[2]
        second = press(slow, PROMPT, MOON, "none", latest=first)[2]
        assert cancelled(slow, second) == ""
    jobs = [slow.strips.job(id) for id in (first, second)]
    for job in jobs:
        job.wait(PATIENCE_S)
    assert [job.watch().state for job in jobs] == ["cancelled", "cancelled"]
    assert "No pictures are being made" in cancelled(slow, second)


def test_seeds_follow_the_first_or_are_others_each_time() -> None:
    assert seeds_from(5, 3) == [5, 6, 7] and seeds_from(0, 1) == [0]
    drawn = seeds_from(-1, 8)
    assert drawn == list(range(drawn[0], drawn[0] + 8)) and seeds_from(None, 8) != drawn
