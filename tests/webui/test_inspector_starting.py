"""Pseudoword → Inspect where the WebUI has no model, before anybody has looked, and on a server with logins."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.webui.browsing import Visitor
from tests.webui.inspecting import FURNISHED, Inspecting, furnish, read_library
from tests.webui.server import CHECKPOINT, NO_MODEL, Webui, furnished, running

VISITOR = {"username": "visitor", "password": "word"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


# ---- without a model -------------------------------------------------------------------------------------------------


@pytest.fixture
def modelless_webui(tmp_path: Path) -> Iterator[Webui]:
    """A WebUI that has loaded nothing, and cannot load the checkpoint that is chosen; the built-in one lies beside."""
    folder = furnished(tmp_path)
    (folder / "models" / "Stable-diffusion" / "damaged.safetensors").write_bytes(b"no checkpoint")
    (folder / "config.json").write_text(json.dumps({"sd_model_checkpoint": "damaged.safetensors"}))
    furnish(folder / "embeddings")
    with running(folder, "--api", NO_MODEL) as webui:
        yield webui


def test_without_a_model_words_are_compared_with_a_checkpoint_file(
    modelless_webui: Webui, visit: Callable[[Webui], Visitor]
) -> None:
    ask, folder = modelless_webui.ask, modelless_webui.folder
    library = folder / "pseudoword" / "library.sqlite3"
    assert not library.exists(), "it was read at the start, which takes time that is nobody's wish"
    visitor = visit(modelless_webui)  # looks at another tab of ours, while the WebUI tries to load what is chosen
    modelless_webui.wait_until_told("Stable diffusion model failed to load")
    assert not library.exists(), "it was read before anybody looked at it"
    read_library(modelless_webui)
    assert library.exists()
    answer = ask("/pseudoword/v1/library?search=toy-").json
    assert [row["name"] for row in answer["rows"]] == FURNISHED
    assert answer["model"] is None and all(row["fits"] is None for row in answer["rows"])
    word = ask("/pseudoword/v1/words?word=toy-moon.safetensors").json
    assert word["compared_with"] == f"{CHECKPOINT}.safetensors" and len(word["vectors"]) == 3
    assert ask("/pseudoword/v1/words/norms.png?word=toy-moon.safetensors").status == 200
    layers = ask("/pseudoword/v1/words/layers.png?word=toy-moon.safetensors")
    assert layers.status == 422 and f"load {CHECKPOINT}.safetensors" in layers.detail
    missing = ask("/pseudoword/v1/words?word=toy-wide.safetensors").json["missing"]
    assert "no model is loaded" in missing and "Load an SDXL checkpoint" in missing

    window = Inspecting(visitor)
    window.search("toy-")
    window.shows(FURNISHED)
    assert f"Nearest tokens in {CHECKPOINT}.safetensors" in window.choose("toy-moon")
    assert "no model is loaded" in window.choose("toy-wide")
    window.tab("Arithmetic")
    window.visitor.field("expression").fill("toy-moon + cat")
    window.visitor.is_told("#pseudoword_expression_given", "3 vectors for clip_l")
    window.visitor.field("mix_name").fill("toy-cat")
    window.visitor.press("mix_save")
    window.visitor.is_told("#pseudoword_mix_message", "toy-cat is saved")
    assert (folder / "embeddings" / "toy-cat.safetensors").is_file()


# ---- who may do what -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded_webui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webui]:
    """A WebUI for others, as with --listen, that asks visitors for their names."""
    folder = furnished(tmp_path_factory.mktemp("guarded"))
    furnish(folder / "embeddings")
    (folder / "embeddings" / "led-astray").symlink_to(folder / "models")
    with running(folder, "--server-name", "127.0.0.1", "--gradio-auth", ":".join(VISITOR.values())) as webui:
        yield webui


@pytest.fixture(scope="module")
def cookie(guarded_webui: Webui) -> str:
    """What a visitor's browser sends once he has logged in."""
    logged_in = guarded_webui.ask("/login", urlencode(VISITOR).encode(), **FORM)
    assert logged_in.status == 200
    return logged_in.headers["set-cookie"].partition(";")[0]


ROUTES = {
    "library": 200,
    "library.csv": 200,
    "library/preview?word=toy-moon.safetensors": 200,
    "words?word=toy-moon.safetensors": 200,
    "words/map.png?word=toy-moon.safetensors": 200,
    "words/map.csv?word=toy-moon.safetensors": 200,
    "words/file?word=toy-moon.safetensors": 200,
    "strips/guessed": 404,
    "strips/guessed/0/0.png": 404,
    "strips/guessed/sheet.png": 404,
}


@pytest.mark.parametrize("route", ROUTES)
def test_visitors_look_once_they_have_logged_in(guarded_webui: Webui, cookie: str, route: str) -> None:
    for headers in ({}, {"Cookie": "access-token=guessed"}, {"Cookie": "access-token="}):
        answer = guarded_webui.ask(f"/pseudoword/v1/{route}", **headers)
        assert answer.status == 401 and "Log in" in answer.detail
    assert guarded_webui.ask(f"/pseudoword/v1/{route}", Cookie=cookie).status == ROUTES[route]


def test_pages_of_other_sites_cannot_ask_for_anything_to_be_done(guarded_webui: Webui, cookie: str) -> None:
    stop = "/pseudoword/v1/library/stop"
    assert guarded_webui.ask(stop, {}).status == 401
    refused = guarded_webui.ask(stop, {}, Cookie=cookie, Origin="http://elsewhere.example")
    assert refused.status == 403 and "http://elsewhere.example" in refused.detail
    for headers in ({"Origin": guarded_webui.address}, {}):
        assert guarded_webui.ask(stop, {}, Cookie=cookie, **headers).status == 200


def test_a_server_for_others_looks_into_its_own_folders(guarded_webui: Webui, cookie: str) -> None:
    embeddings = guarded_webui.folder / "embeddings"
    for folder in ("/", str(guarded_webui.folder), f"{embeddings}/../models", f"{embeddings}/led-astray", "~"):
        answer = guarded_webui.ask(f"/pseudoword/v1/library?{urlencode({'folder': folder})}", Cookie=cookie)
        assert answer.status == 422 and "outside of the folders that this server reads from" in answer.detail, folder
    inside = urlencode({"folder": str(embeddings / "toys")})
    assert guarded_webui.ask(f"/pseudoword/v1/library?{inside}", Cookie=cookie).status == 200
    told = guarded_webui.ask("/pseudoword/v1/library", Cookie=cookie).content.decode()
    assert str(guarded_webui.folder) not in told, "where things lie is nobody's business"
