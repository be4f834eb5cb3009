"""Whatever path is written wherever one is taken: nothing outside of what may be named is read, or even told of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pseudoword.jobs.server.people import Person
from pseudoword.ui import set_check
from pseudoword.ui.messages import says
from pseudoword.ui.score_handlers import TEXTS
from pseudoword.ui.score_handlers import started as score
from pseudoword.ui.setting_fields import shown
from pseudoword.ui.training_handlers import started
from tests.attacks.paths import ways_to
from tests.attacks.world import MARK, OWN, World, listing, made
from tests.training.small_runs import SMALL

pytest.importorskip("open_clip")

HARMLESS = {".", "-", "*", "\n"}  # the folder of the process, or no path at all

Answer = tuple[int, str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with made(tmp_path_factory.mktemp("world").resolve()) as world:
        world.begin()
        yield world


def query(address: str) -> Callable[[World, str], Answer]:
    method, path, key = address.split(" ")
    return lambda world, text: world.ask(method, path, params={key: writable(text)})


def writable(text: str) -> str:
    """`text` as an address can hold it."""
    return text.encode("utf-8", "replace").decode()


def body(address: str, make: Callable[[str], Any]) -> Callable[[World, str], Answer]:
    method, path = address.split(" ")

    def ask(world: World, text: str) -> Answer:
        # As text: not every letter can be written otherwise.
        answer = world.client.request(
            method,
            f"/pseudoword/v1/{path}",
            content=json.dumps(make(text)),
            headers={"Content-Type": "application/json"},
        )
        return answer.status_code, answer.text

    return ask


def in_address(address: str) -> Callable[[World, str], Answer]:
    method, path = address.split(" ")

    def ask(world: World, text: str) -> Answer:
        # Without the slash at the end, which FastAPI would otherwise take away by sending one on to the list.
        written = text if text.strip("/") else "%"
        return world.ask(method, path.replace("{}", quote(written, safe="", errors="replace")))

    return ask


TRAINING = {**SMALL, "name": "zxqv-attack"}
PICTURE = {"name": "a.png", "data": "iVBORw0KGgo="}
INPUTS: dict[str, Callable[[World, str], Answer]] = {
    "training folder": body("POST trainings", lambda text: {"settings": TRAINING, "folder": text}),
    "training start": body(
        "POST trainings", lambda text: {"settings": {**TRAINING, "start": f"file:{text}"}, "pictures": [PICTURE]}
    ),
    "training templates": body(
        "POST trainings", lambda text: {"settings": {**TRAINING, "templates": text}, "folder": "cat"}
    ),
    "training name": body("POST trainings", lambda text: {"settings": {**SMALL, "name": text}, "folder": "cat"}),
    "training leave out": body(
        "POST trainings", lambda text: {"settings": TRAINING, "folder": "cat", "leave_out": [text]}
    ),
    "training order": in_address("POST trainings/{}/cancel"),
    "training read": in_address("GET trainings/{}"),
    "check folder": body("POST set-checks", lambda text: {"folder": text}),
    "check templates": body("POST set-checks", lambda text: {"folder": "cat", "settings": {"templates": text}}),
    "check id": in_address("GET set-checks/{}"),
    "score folder": body("POST scores", lambda text: {"folder": text, "texts": ["a cat"]}),
    "score head": body("POST scores", lambda text: {"pictures": [PICTURE], "head": text}),
    "score address": body("POST scores", lambda text: {"addresses": [text], "texts": ["a cat"]}),
    "score model": body("POST scores", lambda text: {"pictures": [PICTURE], "texts": ["a"], "model": text}),
    "score id": in_address("GET scores/{}"),
    "clip download": body("POST clips/download", lambda text: {"name": text}),
    "library folder": query("GET library folder"),
    "library table folder": query("GET library.csv folder"),
    "library stop folder": query("POST library/stop folder"),
    "library preview": query("GET library/preview word"),
    "word": query("GET words word"),
    "word file": query("GET words/file word"),
    "word plot": query("GET words/norms.png word"),
    "word plot kind": in_address("GET words/{}.png?word=zonk"),
    "search folder": query("GET search folder"),
    "search index folder": query("GET search/index folder"),
    "search start folder": query("POST search/start folder"),
    "search like": query("GET search like"),
    "search picture": in_address("GET search/pictures/{}/file"),
    "search infotext": in_address("GET search/pictures/{}/infotext"),
    "strip word": body("POST strips", lambda text: {"kind": "vectors", "word": text}),
    "strip expression": body("POST strips", lambda text: {"kind": "expression", "expression": f"{{{text}}}"}),
    "strip id": in_address("GET strips/{}"),
    "expression": body("POST expressions", lambda text: {"expression": f"{{{text}}}"}),
    "expression name": body("POST expressions", lambda text: {"expression": "zonk", "save_as": text}),
    "remembered strip": body("POST layers/remembered", lambda text: {"strip": text}),
    "job": in_address("GET jobs/{}"),
    "job order": in_address("POST jobs/{}/cancel"),
    "job deletion": in_address("DELETE jobs/{}"),
    "job picture": in_address("GET jobs/{}/pictures/0.jpg"),
}
NAMES = {"training name", "expression name"}  # which one of these is, in the data folder


def forget(world: World, name: str) -> None:
    """Take back the word that was made under a good name."""
    world.ask("POST", f"trainings/{name}/cancel")
    for job in json.loads(world.ask("GET", "jobs", params={"search": name})[1])["jobs"]:
        assert world.ask("DELETE", f"jobs/{job['id']}")[0] == 200
    for kind in (".safetensors", ".pt"):
        (world.data / "library" / f"{name}{kind}").unlink(missing_ok=True)


def problem_with(world: World, text: str, status: int, answer: str) -> str:
    """What is wrong with an answer, which is to refuse and to say nothing of what is hidden but what was written."""
    told = answer.replace(json.dumps(text)[1:-1], "").replace(json.dumps(repr(text))[2:-2], "").replace(text, "")
    is_refused = 400 <= status < 500 or (status == 200 and json.loads(answer).get("state") == "failed")
    if not is_refused:
        return f"{text[:100]!r}: {status} {answer[:300]}"
    if MARK in told or "root:" in told or (str(world.root) not in text and str(world.root) in answer):
        return f"{text[:100]!r} tells: {told[:300]}"
    return ""


@pytest.mark.parametrize("name", INPUTS)
def test_no_route_leads_out(name: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.allowed)
    before = listing(world.root, world.data)
    forms = ways_to(world.secret, world.allowed)
    assert len(forms) > 80
    problems: list[str] = []
    runs = [str(world.data / "runs"), str(world.data / "runs" / OWN / "pictures")]
    for text in [*forms, *(runs if "folder" in name else [])]:
        if text in HARMLESS:
            continue
        status, answer = INPUTS[name](world, text)
        if name in NAMES and text == "link":
            assert status in (200, 201)  # a good name
            forget(world, text)
        else:
            problems.append(problem_with(world, text, status, answer))
    assert not [problem for problem in problems if problem]
    assert listing(world.root, world.data) == before
    assert world.ask("GET", "health")[0] == 200


def test_no_link_leads_out(world: World) -> None:
    """Folders that may be named, with files in them that are links to what may not."""
    linked, words = str(world.allowed / "linked"), str(world.allowed / "words")
    for name in ("training folder", "check folder"):
        assert not problem_with(world, "", *INPUTS[name](world, linked))
    status, answer = world.ask("POST", "scores", {"folder": linked, "texts": ["a cat"]})
    assert status == 200 and json.loads(answer)["result"] is None or "is a link" in answer
    assert world.ask("GET", "library", params={"folder": words, "read": True})[0] == 200
    label = str(Path(words) / "moon.safetensors")
    for path in ("words", "words/file", "words/norms.csv", "library/preview"):
        status, answer = world.ask("GET", path, params={"word": label})
        assert 400 <= status < 500 and MARK not in answer


def scored(world: World, folder: str, texts: str, head: str) -> str:
    """What the score panel tells in the end."""
    told, _, id = score(world.scorings, None, [], folder, "", TEXTS, texts, None, None, None, None, head)
    if id is None:
        return told
    job = world.scorings.job(id)
    job.wait(60)
    assert job.watch().state == "failed"
    return says(job.watch().message, "warning")


def test_no_panel_leads_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.allowed)
    before = listing(world.root, world.data)
    person = Person("browser:0123456789abcdef", "you")
    expert = shown({}, {})
    at = next(place for place, value in enumerate(expert) if value == "object")
    for text in ways_to(world.secret, world.allowed):
        if not text.strip() or text in HARMLESS:
            continue
        named = [*expert[:at], text, *expert[at + 1 :]]
        answers = [
            started(world.trainings, None, text, "zxqv-attack", "the dog", "", *expert, person=person),
            started(world.trainings, None, "cat", "zxqv-attack", f"file:{text}", "", *expert, person=person),
            started(world.trainings, None, "cat", "zxqv-attack", "the dog", text, *expert, person=person),
            started(world.trainings, None, "cat", "zxqv-attack", "the dog", "", *named, person=person),
            set_check.started(world.trainings, None, None, text, *expert)[0],
            set_check.started(world.trainings, None, None, "cat", *named)[0],
            scored(world, text, "a cat", ""),
            scored(world, "cat", "", text),
        ]
        for answer in answers:
            assert 'class="pseudoword-warning"' in answer, (text[:100], answer)
            assert MARK not in answer.replace(text, "") and "<script" not in answer
    assert listing(world.root, world.data) == before
