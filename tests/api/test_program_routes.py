"""Trainings as programs ask for them: over real HTTP routes, on a tiny model."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pseudoword.api import program_routes, uploads
from pseudoword.api.program_routes import ORDERS, PREFIX, add_program_routes
from pseudoword.api.schemas import TrainingAnswer
from pseudoword.api.training_routes import as_json
from pseudoword.embedding import load_embedding
from pseudoword.jobs.training.trainings import Trainings
from pseudoword.training.settings import TrainSettings, describe_settings
from tests.jobs.small_host import small_host, wait_until
from tests.training.small_runs import SMALL, WORD, draw_pictures

LONG: dict[str, Any] = {**SMALL, "steps": 100_000, "validate_every": 0, "preview_every": 0, "save_every": 2}
TRAININGS = f"{PREFIX}/trainings"


@dataclass
class Program:
    """A program that asks, in a test with the folder `here`; no answer may tell it a path."""

    client: TestClient
    trainings: Trainings
    here: Path

    def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON of the answer, which must have `status`."""
        content = None if body is None else json.dumps(body)  # a client's own writer refuses half characters
        answer = self.client.request(method, path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code == status, answer.text
        assert str(self.here) not in answer.text
        return answer.json()

    def start(self, body: dict[str, Any], status: int = 201) -> Any:
        """Start a training, or get the sentence why not."""
        answer = self.ask("POST", TRAININGS, body, status)
        assert not list((self.here / "temporary").glob("pseudoword-*"))
        return answer if status == 201 else answer["detail"]

    def order(self, order: str, name: str = WORD, status: int = 200) -> Any:
        """Give an order, or get the sentence why not."""
        answer = self.ask("POST", f"{TRAININGS}/{name}/{order}", status=status)
        return answer if status == 200 else answer["detail"]

    def watch(self, name: str = WORD) -> Any:
        """How a training stands."""
        return self.ask("GET", f"{TRAININGS}/{name}")

    def trained_for(self, steps: int) -> None:
        """Wait until `steps` are done."""
        wait_until(lambda: self.watch()["step"] >= steps)


def program_on(trainings: Trainings, here: Path) -> Program:
    app = FastAPI()
    add_program_routes(app, trainings)
    return Program(TestClient(app), trainings, here)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    trainings = Trainings(small_host(tmp_path / "runs"))
    yield program_on(trainings, tmp_path)
    trainings.end()


@contextmanager
def restarted(program: Program) -> Iterator[Program]:
    """The same after the server was started again."""
    trainings = Trainings(small_host(program.here / "runs"))
    yield program_on(trainings, program.here)
    trainings.end()


@pytest.fixture
def pictures(tmp_path: Path) -> list[dict[str, str]]:
    """Four pictures as they are sent."""
    files = sorted(draw_pictures(tmp_path / "given").iterdir())
    return [{"name": file.name, "data": base64.b64encode(file.read_bytes()).decode()} for file in files]


def test_a_training_by_pictures_is_started_watched_paused_resumed_and_stopped(
    program: Program, pictures: list[dict[str, str]]
) -> None:
    assert program.ask("GET", TRAININGS) == {"trainings": []}
    pictures[0]["data"] = f"data:image/png;base64,{pictures[0]['data']}"
    pictures[1]["data"] = "\n".join(pictures[1]["data"][at : at + 76] for at in range(0, len(pictures[1]["data"]), 76))
    begun = program.start({"settings": LONG, "pictures": pictures})
    assert begun["name"] == WORD and begun["steps"] == LONG["steps"]
    program.trained_for(3)
    paused = program.order("pause")
    assert paused["state"] == "paused" and paused["pictures"] == 4
    assert program.ask("GET", TRAININGS) == {"trainings": [{"name": WORD, "state": "paused"}]}
    assert program.order("resume")["state"] in ("preparing", "training")
    program.trained_for(paused["step"] + 2)
    stopped = program.order("stop")
    assert stopped["state"] == "stopped" and program.watch() == stopped
    word = load_embedding(program.here / "runs" / WORD / f"{WORD}.safetensors")
    assert word.metadata.steps == stopped["step"]


def test_a_training_by_folder_is_followed_to_its_end(program: Program) -> None:
    program.start({"settings": SMALL, "folder": f" {draw_pictures(program.here / 'given')} "})
    wait_until(lambda: program.watch()["state"] == "finished")
    seen = program.watch()
    assert seen["step"] == 12 and seen["best_loss"] <= seen["validation_loss"]
    assert {preview["step"] for preview in seen["previews"]} >= {0, 6, 12}
    assert program.trainings.latest is not None
    assert set(as_json(program.trainings.latest.watch())) == set(TrainingAnswer.__annotations__)


def test_a_cancelled_training_frees_its_name(program: Program, pictures: list[dict[str, str]]) -> None:
    program.start({"settings": LONG, "pictures": pictures})
    program.trained_for(1)
    assert program.order("cancel")["state"] == "cancelled"
    program.start({"settings": LONG, "pictures": pictures})


def test_captions_lie_beside_their_pictures(program: Program, pictures: list[dict[str, str]]) -> None:
    for picture, caption in zip(pictures, ("on a table", "x\0y", "\ud800", ""), strict=True):
        picture["name"], picture["caption"] = "disc.png", caption
    program.start({"settings": SMALL, "pictures": pictures})
    stored = program.here / "runs" / WORD / "pictures"
    texts = {file.name: file.read_text(encoding="utf-8") for file in stored.glob("*.txt")}
    wanted = ("on a table", "x y", "?", "")
    assert texts == {f"00{number}-disc.txt": text for number, text in enumerate(wanted, start=1)}
    wait_until(lambda: program.watch()["state"] == "finished")
    assert program.watch()["pictures"] == 4


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("../../../evil.png", "001-evil.png"),
        ("C:\\pictures\\my cat.JPG", "001-my cat.jpg"),
        ("..", "001-...png"),
        ("", "001-.png"),
        ("no suffix", "001-no suffix.png"),
        (".hidden.png", "001-.hidden.png"),
        ("a\0\ud800:*b.webp", "001-a____b.webp"),
        ("猫.gif", "001-猫.gif"),
        ("x" * 500 + ".png", f"001-{'x' * 150}.png"),
        ("猫" * 200, f"001-{'猫' * 50}.png"),
    ],
)
def test_only_the_last_part_of_a_file_s_name_counts_and_is_made_safe(name: str, stored: str) -> None:
    assert uploads.file_name(1, name) == stored


def test_a_name_with_dots_writes_nothing_elsewhere(program: Program, pictures: list[dict[str, str]]) -> None:
    program.start({"settings": SMALL, "pictures": [{**pictures[0], "name": "../../../evil.png"}]})
    assert [file.relative_to(program.here).as_posix() for file in program.here.rglob("*evil*")] == [
        f"runs/{WORD}/pictures/001-evil.png"
    ]


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        ({"name": "cup.png", "data": "no base64!"}, "The data of 'cup.png' is not base64"),
        ({"name": "cup.png", "data": "ÄÖÜ="}, "The data of 'cup.png' is not base64"),
        ({"name": "cup.png", "data": "YWJ"}, "The data of 'cup.png' is not base64"),
        ({"name": "cup.png", "data": ""}, "The data of 'cup.png' is empty"),
        ({"name": "cup.png", "data": "data:image/png,abc"}, "data: URL of 'cup.png' is not in base64"),
        ({"name": "cup.png", "data": "YWJj"}, "001-cup.png: it is no picture"),
        ({"name": "cup.heic", "data": "YWJj"}, ".heic files are not read"),
        ({"name": "cup.png", "data": "YWJj", "caption": "x" * 70_000}, "caption of 'cup.png' is longer than 64 KiB"),
    ],
)
def test_pictures_that_cannot_be_used_are_told(program: Program, picture: dict[str, str], says: str) -> None:
    assert says in program.start({"settings": SMALL, "pictures": [picture]}, 422)
    assert not program.trainings.host.runs.exists()


def test_there_are_limits_to_what_is_sent(
    program: Program, pictures: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [{"name": f"{number}.png", "data": "YWJj"} for number in range(uploads.MOST_PICTURES + 1)]
    assert "There are 201 pictures, and at most 200" in program.start({"settings": SMALL, "pictures": many}, 422)
    size = len(base64.b64decode(pictures[0]["data"]))
    monkeypatch.setattr(uploads, "MOST_BYTES", size - 1)
    assert "'0.png' is larger than" in program.start({"settings": SMALL, "pictures": pictures[:1]}, 422)
    monkeypatch.setattr(uploads, "MOST_BYTES", size)
    program.start({"settings": SMALL, "pictures": pictures[:1]})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "The request does not fit at 'settings'"),
        ("cup", "The request does not fit at 'its beginning'"),
        (None, "The request does not fit at 'its beginning'"),
        ({"settings": {"name": WORD}}, "There are no pictures"),
        ({"settings": {"name": WORD}, "pictures": [], "folder": " "}, "There are no pictures"),
        ({"settings": {"name": WORD}, "pictures": [{"name": "a", "data": "b"}], "folder": "/x"}, "one of the two"),
        ({"settings": {"name": WORD}, "folder": "/x", "picture": []}, "'picture'"),
        ({"settings": {"name": WORD}, "pictures": [{"name": "a"}]}, "'pictures.0.data'"),
        ({"settings": {"name": WORD}, "folder": 3}, "'folder'"),
        ({"settings": {}, "folder": "/x"}, "The setting 'name' is missing"),
        ({"settings": {"name": WORD, "step": 5}, "folder": "/x"}, "did you mean 'steps'?"),
        ({"settings": {"name": WORD, "steps": "5"}, "folder": "/x"}, "steps is '5', but a whole number"),
        ({"settings": {"name": "dog"}, "folder": "/x"}, "knows the word 'dog' already"),
        ({"settings": {"name": "../up"}, "folder": "/x"}, "cannot be used for an embedding"),
        ({"settings": {"name": WORD}, "folder": "/no/such/folder"}, "does not exist"),
        ({"settings": {"name": WORD}, "folder": "\0\ud800"}, r"'\x00\ud800'"),
    ],
)
def test_what_cannot_be_started_is_told_in_one_sentence(program: Program, body: Any, says: str) -> None:
    assert says in program.start(body, 422)
    assert not program.trainings.host.runs.exists()


def test_what_is_not_json_is_told(program: Program) -> None:
    for kind, content, says in (
        ("application/json", b"{settings}", "The request is not JSON (from character 1 on)"),
        ("text/plain", b'{"settings": {}}', "send application/json"),
    ):
        answer = program.client.post(TRAININGS, content=content, headers={"content-type": kind})
        assert answer.status_code == 422 and says in answer.json()["detail"]


def test_of_two_starts_at_once_one_waits(program: Program, pictures: list[dict[str, str]]) -> None:
    def start(name: str) -> tuple[int, Any]:
        answer = program.client.post(TRAININGS, json={"settings": {**LONG, "name": name}, "pictures": pictures})
        return answer.status_code, answer.json()["name"]

    with ThreadPoolExecutor() as pool:
        assert set(pool.map(start, (WORD, "zxqv-other"))) == {(201, WORD), (201, "zxqv-other")}
    states = {one["name"]: one["state"] for one in program.ask("GET", TRAININGS)["trainings"]}
    assert sorted(state == "waiting" for state in states.values()) == [False, True]


def test_orders_that_make_no_sense_are_refused(program: Program, pictures: list[dict[str, str]]) -> None:
    for order in ORDERS:
        assert f"There is no training called '{WORD}'" in program.order(order, status=404)
    program.start({"settings": LONG, "pictures": pictures})
    program.trained_for(1)
    assert "is 'training'; only a training that is paused or interrupted can be resumed" in program.order(
        "resume", status=409
    )
    program.order("pause")
    assert "is 'paused'; only a training that is waiting, preparing or training can be paused" in program.order(
        "pause", status=409
    )
    program.order("stop")
    for order in ORDERS:
        assert f"The state of {WORD} is 'stopped'" in program.order(order, status=409)
    assert program.watch()["state"] == "stopped"
    for order in ORDERS:
        program.order(order, "zxqv-other", status=404)
    assert program.ask("POST", f"{TRAININGS}/{WORD}/jump", status=404)
    assert program.ask("GET", f"{TRAININGS}/zxqv-other", status=404)


def test_an_order_counts_even_where_the_one_before_was_not_followed_yet(
    program: Program, pictures: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_routes, "PATIENCE_S", 0.1)
    program.start({"settings": LONG, "pictures": pictures})
    program.trained_for(1)
    with program.trainings.host.turns:  # somebody makes pictures meanwhile
        assert program.order("pause")["state"] == "training"
        program.order("resume", status=409)
    program.trained_for(program.watch()["step"] + 3)


def test_an_interrupted_run_is_listed_and_resumed(program: Program, pictures: list[dict[str, str]]) -> None:
    program.start({"settings": LONG, "pictures": pictures})
    program.trained_for(3)
    program.trainings.end()
    with restarted(program) as later:
        assert later.ask("GET", TRAININGS) == {"trainings": [{"name": WORD, "state": "paused"}]}
        seen = later.watch()
        assert seen["step"] >= 3 and "The server ended meanwhile" in seen["message"]
        assert later.order("resume")["name"] == WORD
        later.trained_for(seen["step"] + 1)
        assert later.order("stop")["state"] == "stopped"
        assert later.ask("GET", TRAININGS) == {"trainings": [{"name": WORD, "state": "stopped"}]}


def test_an_interrupted_run_can_be_stopped_and_keeps_its_word(program: Program, pictures: list[dict[str, str]]) -> None:
    program.start({"settings": LONG, "pictures": pictures})
    program.trained_for(3)
    program.trainings.end()
    with restarted(program) as later:
        assert "as it was when it was last saved" in later.order("stop")["message"]
    assert load_embedding(program.here / "runs" / WORD / f"{WORD}.safetensors").metadata.steps


def test_an_interrupted_run_can_be_cancelled(program: Program, pictures: list[dict[str, str]]) -> None:
    program.start({"settings": LONG, "pictures": pictures})
    program.trained_for(3)
    program.trainings.end()
    with restarted(program) as later:
        assert later.order("cancel")["state"] == "cancelled"
        assert not (program.here / "runs" / WORD).exists()


def test_a_resumed_run_waits_while_another_is_under_way(program: Program, pictures: list[dict[str, str]]) -> None:
    program.start({"settings": LONG, "pictures": pictures})
    program.trained_for(1)
    program.trainings.end()
    with restarted(program) as later:
        later.start({"settings": {**LONG, "name": "zxqv-other"}, "pictures": pictures})
        assert later.order("resume")["state"] == "waiting"
        later.order("cancel", "zxqv-other")
        later.trained_for(later.watch()["step"] + 1)


def test_a_failed_training_is_listed_once_and_can_be_resumed(program: Program) -> None:
    given = draw_pictures(program.here / "given")
    with program.trainings.host.turns:
        program.start({"settings": SMALL, "folder": str(given)})
        shutil.move(given, program.here / "moved")
    wait_until(lambda: program.trainings.latest is not None and program.trainings.latest.has_ended)
    assert program.ask("GET", TRAININGS) == {"trainings": [{"name": WORD, "state": "failed"}]}
    shutil.move(program.here / "moved", given)
    program.order("resume")
    wait_until(lambda: program.watch()["state"] == "finished")


def test_what_is_told_of_the_server_s_files_is_no_path(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    given = draw_pictures(program.here / "given")
    taken = program.here / "runs" / "Zxqv-Toy" / "Zxqv-Toy.safetensors"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"")
    said = program.start({"settings": SMALL, "folder": str(given)}, 422)
    assert "already, in Zxqv-Toy/Zxqv-Toy.safetensors;" in said.replace("\\", "/")
    shutil.rmtree(program.here / "runs")
    (program.here / "runs").write_text("in the way")
    assert program.start({"settings": SMALL, "folder": str(given)}, 409).startswith(f"Writing to {WORD} failed")
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(program.here))
    said = program.start({"settings": SMALL, "folder": "~/none"}, 422)
    assert said.replace("\\", "/").startswith("'~/none' does not exist")


def test_a_folder_that_cannot_be_written_is_told_without_its_path(
    program: Program, pictures: list[dict[str, str]]
) -> None:
    program.start({"settings": {**LONG, "save_every": 0}, "pictures": pictures})
    program.trained_for(2)
    last = program.here / "runs" / WORD / "last"
    shutil.rmtree(last)
    last.write_text("in the way")
    program.order("pause")
    wait_until(lambda: f"Writing to {WORD}" in program.watch()["message"].replace("\\", "/"))


def test_every_setting_is_described(program: Program) -> None:
    told = {setting["name"]: setting for setting in program.ask("GET", f"{PREFIX}/settings")}
    assert list(told) == [description.name for description in describe_settings()]
    assert told["name"]["required"] and told["name"]["default"] is None
    assert told["crop"]["choices"] == ["center", "random", "none"]
    assert (told["seed"]["type"], told["seed"]["default"], told["seed"]["high"]) == ("integer", 0, 2**53 - 1)
    assert (told["min_snr"]["type"], told["min_snr"]["nullable"]) == ("number", True)
    assert told["flip"]["type"] == "boolean" and told["flip"]["default"] is False
    assert all(setting["meaning"] for setting in told.values())
    defaults = {name: setting["default"] for name, setting in told.items() if not setting["required"]}
    assert TrainSettings.from_dict({"name": WORD, **defaults}) == TrainSettings(WORD)


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://testserver.elsewhere.example"])
def test_a_page_of_another_site_can_neither_read_nor_steer(program: Program, origin: str) -> None:
    for method, path in (("GET", TRAININGS), ("POST", TRAININGS), ("POST", f"{TRAININGS}/x/cancel")):
        answer = program.client.request(method, path, headers={"Origin": origin})
        assert answer.status_code == 403 and "may not ask" in answer.json()["detail"]
    for proxy in ({}, {"X-Forwarded-Host": "own.example"}):
        own = f"https://{proxy.get('X-Forwarded-Host', 'testserver')}"
        assert program.client.get(TRAININGS, headers={"Origin": own, **proxy}).status_code == 200
