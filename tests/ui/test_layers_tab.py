"""The tab that compares layers: its handlers, called as Gradio calls them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pseudoword.jobs.layers.checkpoint_layers import CheckpointLayers
from pseudoword.jobs.library.inspector import Inspector
from pseudoword.ui import generation_panel, layers_tab
from pseudoword.ui.layers_tab import forgetting, inside_html, remembering, rows
from pseudoword.ui.strip_form import StripForm, build_form, started
from tests.jobs.small_library import library_host, library_in, put, toy, without_model
from tests.jobs.small_strips import ended
from tests.ui.built_page import built, buttons_in, ids_in

HOSTILE = '"><img src=x onerror=alert(1)> & a cat'


@pytest.fixture
def inspector(tmp_path: Path) -> Inspector:
    folder = library_in(tmp_path)
    put(folder, toy("zonk", 2))
    table = CheckpointLayers(tmp_path / "layers.json")
    return Inspector(library_host(folder, checkpoint_layers=table, checkpoint=lambda: ("7" * 64, "<b>tiny</b>")))


def test_the_tab_is_built_and_its_buttons_are_wired(inspector: Inspector) -> None:
    config = built(lambda: layers_tab.build(inspector))
    remember = ["Remember this layer for the checkpoint", "Forget"]
    assert buttons_in(config) == ["Compare", "Cancel", *remember, "Look inside the prompt above"]
    assert len(config["dependencies"]) == 5
    ids = ids_in(config)
    assert len(ids) == len(set(ids)) and all(id.startswith("pseudoword_layers_") for id in ids)
    shown = " ".join(str(part["props"].get("value")) for part in config["components"] if part["type"] == "html")
    assert "Nothing is remembered for &lt;b&gt;tiny" in shown and "<b>tiny" not in shown


def test_the_webui_does_not_give_a_form_what_another_one_shows_at_first(inspector: Inspector) -> None:
    forms: list[StripForm] = []
    built(lambda: forms.extend([build_form("one", "Show"), build_form("two", "Show", "a cat", seed_count=4)]))
    for form in forms:
        for field in (form.template, form.seeds, form.first_seed, form.steps, form.guidance):
            assert field.do_not_save_to_config
    assert [(form.template.value, form.seeds.value) for form in forms] == [("a photo of {}", 2), ("a cat", 4)]


def test_where_no_table_is_kept_nothing_can_be_remembered(inspector: Inspector) -> None:
    bare = Inspector(replace(inspector.host, checkpoint_layers=None))
    assert buttons_in(built(lambda: layers_tab.build(bare))) == ["Compare", "Cancel", "Look inside the prompt above"]


def test_all_layers_of_a_prompt_are_compared(inspector: Inspector) -> None:
    said, html, id = started(inspector, lambda: rows(inspector, "a zonk", None, "all"), None, 2, 0, 2, 5.0)
    assert said == "" and id is not None and f'data-strip="{id}"' in html
    now = ended(inspector.strips.job(id)).watch()
    assert now.made == (3,) and now.seeds == (0, 1)
    assert now.labels == (("CLIP skip 1, the last layer", "CLIP skip 2", "CLIP skip 3"),)


@pytest.mark.parametrize(
    ("prompt", "layers", "said"),
    [("", "all", "The prompt is empty"), ("a cat", "9", "There is no layer 9"), ("a cat", "1", "nothing to compare")],
)
def test_what_is_missing_is_said(inspector: Inspector, prompt: str, layers: str, said: str) -> None:
    told, _, id = started(inspector, lambda: rows(inspector, prompt, "", layers), "before", 1, 0, 1, 1.0)
    assert "pseudoword-warning" in told and said in told and id == "before"


def test_a_layer_is_remembered_and_forgotten_by_the_buttons(inspector: Inspector) -> None:
    assert "No layer was recommended" in remembering(inspector, "", None)
    assert "No layer was recommended" in remembering(inspector, "", "forgotten long ago")
    said = remembering(inspector, "2", None)
    assert "pseudoword-good" in said and "CLIP skip 2 is remembered for &lt;b&gt;tiny" in said
    assert "is not a layer" in remembering(inspector, "<b>", None)
    assert "any more" in forgetting(inspector) and "Nothing was remembered" in forgetting(inspector)
    bare = Inspector(replace(inspector.host, checkpoint=lambda: None))
    assert "No checkpoint is loaded" in forgetting(bare)


def test_what_is_remembered_is_used_by_generate(inspector: Inspector) -> None:
    def told() -> str:
        return generation_panel.generated(inspector.host, "a cat", "", 1, 5, 1, 1.0)[1]

    assert "CLIP skip: 1." in told()
    remembering(inspector, "1=1,2=1", None)
    table = inspector.host.checkpoint_layers
    assert table is not None and "CLIP skip: 1=0.5,2=0.5." in told()


def test_the_heat_map_is_shown_in_both_themes_and_can_be_taken_along(inspector: Inspector) -> None:
    html = inside_html(inspector, HOSTILE)
    assert "<img src=x" not in html
    addresses = [address.replace("&amp;", "&") for address in re.findall(r'(?:src|href)="([^"]+)"', html)]
    assert [urlsplit(address).path.rpartition(".")[2] for address in addresses] == ["png"] * 4 + ["csv"]
    for address in addresses:
        query = parse_qs(urlsplit(address).query)
        assert query["text"] == [HOSTILE] and query["encoder"] == ["clip_l"]
    assert inside_html(inspector, "half \ud800 a sign").count("<img") == 2


@pytest.mark.parametrize(
    ("prompt", "said"), [(None, "holds no token"), (" ", "holds no token"), ("x" * 20_001, "20,001")]
)
def test_a_prompt_that_cannot_be_looked_into_is_told(inspector: Inspector, prompt: str | None, said: str) -> None:
    html = inside_html(inspector, prompt)
    assert "pseudoword-warning" in html and said in html


def test_without_a_model_that_is_told(inspector: Inspector) -> None:
    assert "No model is loaded" in inside_html(Inspector(without_model(inspector.host)), "a cat")
