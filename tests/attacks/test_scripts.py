"""Texts that would be programs in a page: they stay texts, in every field."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pseudoword.embedding import Embedding, EmbeddingMetadata, save_embedding
from pseudoword.inspect.prompt_view import view_prompt
from pseudoword.ui import set_check
from pseudoword.ui.arithmetic_tab import expression_says
from pseudoword.ui.arithmetic_tab import saved as save_mix
from pseudoword.ui.edit_handlers import FACTS, downloaded, outcome, shown
from pseudoword.ui.edit_handlers import saved as save_edit
from pseudoword.ui.generation_panel import generated
from pseudoword.ui.layers_tab import inside_html, remembering
from pseudoword.ui.prompt_html import prompt_html
from pseudoword.ui.score_handlers import TEXTS, downloading
from pseudoword.ui.score_handlers import started as score
from pseudoword.ui.setting_fields import shown as shown_fields
from pseudoword.ui.training_handlers import cloned, continued, name_says, recalled, removed, saved, started
from tests.attacks.world import World, made
from tests.jobs.small_library import rows
from tests.training.small_runs import SMALL

pytest.importorskip("open_clip")

SCRIPTS = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' onmouseover='alert(1)' x='",
    "</p></div><svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "javascript:alert(1)",
    "[x](javascript:alert(1))",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "{{7*7}}${7*7}",
    "<style>*{display:none}</style>",
    "\u202e<b>",
)
OWN_TAGS = {"p", "div", "dl", "dt", "dd", "span", "a", "table", "thead", "tbody", "tr", "td", "th", "figure", "img"}
OWN_TAGS |= {"h4", "h3", "ul", "li", "code", "pre", "b", "strong", "small", "caption", "section", "ol", "br", "button"}
OWN_TAGS |= {"summary", "details", "sup", "em", "mark", "i", "progress", "bdi"}


class Page(HTMLParser):
    """Asserts that HTML has nothing in it that runs."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in OWN_TAGS, (tag, attrs)
        for name, value in attrs:
            assert not name.startswith("on") and name != "srcdoc", (tag, attrs)
            if name in ("href", "src"):
                assert (value or "").startswith(("pseudoword/", "data:application/octet-stream;base64,", "#")), value


def check(text: str, answer: Any) -> None:
    """Assert that HTML that `text` was put into has nothing in it that runs."""
    for one in answer if isinstance(answer, (list, tuple)) else [answer]:
        if isinstance(one, str) and one.lstrip().startswith("<"):
            Page().feed(one)
            assert "<script" not in one and "<svg" not in one and "onerror='" not in one


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with made(tmp_path_factory.mktemp("world").resolve()) as world:
        yield world


@pytest.mark.parametrize("text", SCRIPTS)
def test_what_panels_tell_is_text(text: str, world: World) -> None:
    trainings, inspector, expert = world.trainings, world.inspector, shown_fields({}, {})
    facts = [text] * len(FACTS)
    told = [
        started(trainings, None, text, "zxqv-x", "the dog", "", *expert),
        started(trainings, None, "", text, text, text, *expert),
        started(trainings, None, str(world.allowed / "cat"), text, "the dog", "", *expert),
        started(trainings, None, str(world.allowed / "cat"), "zxqv-x", "the dog", "", *[text] * len(expert)),
        name_says(trainings, text),
        continued(trainings, text),
        removed(trainings, text)[1],
        recalled(trainings, text)[-1],
        saved(trainings, text, *expert)[1],
        saved(trainings, text)[1],
        cloned(trainings, text)[-1],
        set_check.started(trainings, None, None, text, *expert),
        set_check.ordered(trainings, text, text, None)[1],
        set_check.told([text, text]),
        score(world.scorings, None, [], text, text, TEXTS, text, None, None, None, text, text)[0],
        downloading(world.scorings, text),
        expression_says(inspector, text),
        save_mix(inspector, text, text, "safetensors", text, False)[0],
        save_mix(inspector, "zonk", text, text, text, True)[0],
        shown(inspector, text)[0],
        outcome(inspector, "zonk.safetensors", text, text, False),
        save_edit(inspector, None, "safetensors", None, False, text, text, text, False, False, *facts)[0],
        save_edit(inspector, None, text, None, True, "zonk.safetensors", text, text, True, False, *facts)[0],
        downloaded(inspector, "safetensors", None, "zonk.safetensors", "", text, False, False, *facts),
        inside_html(inspector, text),
        remembering(inspector, text, text),
        f"<p>{generated(trainings.host, text, text, 1, 0, 1, 5)[1]}</p>",
    ]
    for answer in told:
        check(text, answer)


@pytest.mark.parametrize("text", SCRIPTS)
def test_what_a_file_says_is_text(text: str, world: World) -> None:
    """Names of files, and what embeddings say of themselves."""
    facts = {"title": text, "author": text, "description": text, "trained_on": text, "recipe": text}
    metadata = EmbeddingMetadata(**facts, extra={"evil.key": text})  # type: ignore[arg-type]
    name = text.replace("/", "∕")
    path = world.data / "library" / "evil.safetensors"
    save_embedding(Embedding("evil", {"clip_l": rows(2)}, metadata), path, overwrite=True)
    named = path.with_name(f"{name}.safetensors")
    path.replace(named)
    world.inspector.reader().read_anew()
    check(text, shown(world.inspector, named.name)[0])
    answer = world.client.get("/pseudoword/v1/library", params={"search": name[:20]})
    assert answer.headers["content-type"].startswith("application/json")
    for path_of in ("words", "words/nearest.csv", "words/file"):
        answer = world.client.get(f"/pseudoword/v1/{path_of}", params={"word": named.name})
        assert "html" not in answer.headers["content-type"]
    named.unlink()
    picture = world.allowed / "cat" / f"{name}.png"
    Image.new("RGB", (40, 40), "navy").save(picture)
    status, told = world.ask("POST", "scores", {"folder": str(world.allowed / "cat"), "texts": [text]})
    assert status == 200 and picture.name in json.loads(told)["result"]["pictures"]
    picture.unlink()


def test_no_answer_is_a_page_but_the_page(world: World) -> None:
    for text in SCRIPTS:
        for path in ("words", "library", "search", "layers/prompt.csv", "jobs", f"jobs/{text}", f"trainings/{text}"):
            query = {"word": text, "folder": text, "text": text, "search": text, "whose": text}
            answer = world.client.get(f"/pseudoword/v1/{path}", params=query)
            if answer.headers["content-type"].startswith("text/html"):
                assert "alert(1)" not in answer.text  # what the studio's page is for what it does not know


def test_a_training_s_words_stay_text_in_its_files(world: World) -> None:
    """Of the server's folders nothing is in what is handed out."""
    text = SCRIPTS[0]
    body = {"settings": {**SMALL, "name": "zxqv-files", "start": "the dog"}, "pictures": pictures(world, text)}
    status, _ = world.ask("POST", "trainings", body)
    assert status == 201
    job = world.trainings.called("zxqv-files")
    assert job is not None
    job.wait(60)
    run = world.data / "runs" / "zxqv-files"
    handed_out = [run / "zxqv-files.safetensors", *run.rglob("*.png"), *(run / "best").iterdir()]
    assert len(handed_out) > 4
    for file in handed_out:
        assert str(world.root).encode() not in file.read_bytes(), file
    said = world.client.get("/pseudoword/v1/trainings/zxqv-files").text
    assert str(world.root) not in said


def pictures(world: World, caption: str) -> list[dict[str, str]]:
    files = sorted(Path(world.allowed / "cat").glob("?.png"))
    return [
        {"name": f"{caption}.png", "data": base64.b64encode(file.read_bytes()).decode(), "caption": caption}
        for file in files
    ]


def test_a_prompt_is_shown_as_text(world: World) -> None:
    for text in SCRIPTS:
        tokenizer = world.trainings.host.model().text_encoders[0].tokenizer
        check(text, prompt_html(view_prompt(text, tokenizer, {}), {}))
