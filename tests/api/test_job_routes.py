"""The list of jobs over real HTTP routes: what the owner, another person and an admin see of it and may do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pseudoword.api.job_routes import PREFIX, add_job_routes
from pseudoword.api.logins import Logins
from pseudoword.api.program_routes import add_program_routes
from pseudoword.api.training_routes import add_training_routes
from pseudoword.jobs.server.people import COOKIE, People, new_session, user_let_in
from pseudoword.jobs.store.job_store import Job
from pseudoword.jobs.training.trainings import Trainings
from tests.jobs.small_host import small_host, wait_until
from tests.training.small_runs import SMALL, WORD, draw_pictures

LOGINS = {"ann": "a", "bob": "b", "root": "r"}
LONG: dict[str, Any] = {**SMALL, "steps": 100_000, "validate_every": 0, "preview_every": 0, "save_every": 2}
JOBS = f"{PREFIX}/jobs"
PICTURES = ("curve.png", "contact-sheet.png", "previews/12.png", "previews/12/small.jpg", "pictures/0.jpg")


@dataclass
class Visitor:
    """Somebody with a login, or with a browser."""

    client: TestClient
    login: Any = None

    def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON of the answer, which must have `status`."""
        answer = self.client.request(method, path, json=body, auth=self.login)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.headers["content-type"] == "application/json" else answer.content

    def start(self, word: str, pictures: Path, **settings: Any) -> str:
        """Start a training; returns its job's id."""
        asked = {"settings": {**SMALL, **settings, "name": word}, "folder": str(pictures)}
        self.ask("POST", f"{PREFIX}/trainings", asked, 201)
        return next(job["id"] for job in self.list() if job["title"] == word)

    def list(self, query: str = "") -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self.ask("GET", f"{JOBS}?{query}")["jobs"]
        return jobs

    def job(self, id: str) -> dict[str, Any]:
        return next(job for job in self.list("whose=all") if job["id"] == id)

    def order(self, id: str, order: str, body: Any = None, status: int = 200) -> Any:
        answer = self.ask("POST", f"{JOBS}/{id}/{order}", body, status)
        return answer if status == 200 else answer["detail"]

    def waits_for(self, id: str, *states: str) -> None:
        wait_until(lambda: self.job(id)["state"] in states)


@pytest.fixture
def trainings(tmp_path: Path) -> Iterator[Trainings]:
    people = People(user_let_in, lambda: True, lambda: ["root"])
    trainings = Trainings(replace(small_host(tmp_path / "runs"), people=people))
    yield trainings
    trainings.end()


def app_of(trainings: Trainings) -> FastAPI:
    app = FastAPI()
    add_training_routes(app, trainings)
    add_job_routes(app, trainings)
    add_program_routes(app, trainings)
    return app


@pytest.fixture
def people(trainings: Trainings) -> tuple[Visitor, ...]:
    app = app_of(trainings)
    app.add_middleware(Logins, passwords=LOGINS)
    return tuple(Visitor(TestClient(app), (name, password)) for name, password in LOGINS.items())


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return draw_pictures(tmp_path / "given")


def test_one_sees_ones_own_jobs_and_of_others_that_they_are_there(people: tuple[Visitor, ...], pictures: Path) -> None:
    ann, bob, root = people
    id = ann.start(WORD, pictures)
    ann.waits_for(id, "finished")
    (mine,) = ann.list()
    assert mine["owner"] == "you" and mine["may_steer"] and mine["figures"]["best_step"] >= 0
    assert mine["preview"] == 12 and "Learned" in mine["message"]
    assert bob.list() == []
    (theirs,) = bob.list("whose=all")
    assert (theirs["owner"], theirs["state"], theirs["done"]) == ("ann", "finished", 12)
    assert not theirs["may_steer"] and not theirs["may_look"]
    assert (theirs["message"], theirs["figures"], theirs["preview"]) == ("", {}, None)
    assert root.job(id)["may_steer"] and root.job(id)["preview"] == 12


def test_only_who_may_look_sees_settings_log_and_pictures(people: tuple[Visitor, ...], pictures: Path) -> None:
    ann, bob, root = people
    id = ann.start(WORD, pictures)
    ann.waits_for(id, "finished")
    for visitor in (ann, root):
        seen = visitor.ask("GET", f"{JOBS}/{id}")
        assert seen["settings"]["steps"] == 12 and seen["pictures"] == 4 and 12 in seen["previews"]
        assert [line for _, line in seen["log"]][:2] == ["It waits for its turn.", "Running."]
        assert str(pictures.parent) not in json.dumps(seen)
        for picture in PICTURES:
            assert visitor.ask("GET", f"{JOBS}/{id}/{picture}")[:2] in (b"\x89P", b"\xff\xd8")
    for path in (f"{JOBS}/{id}", *(f"{JOBS}/{id}/{picture}" for picture in PICTURES), f"{JOBS}/{id}/beside/{id}"):
        assert "not shared" in bob.ask("GET", path, status=403)["detail"]
    ann.order(id, "share")
    assert bob.ask("GET", f"{JOBS}/{id}")["shared"] and bob.ask("GET", f"{JOBS}/{id}/contact-sheet.png")
    assert "that of ann" in bob.order(id, "unshare", status=403)
    ann.order(id, "unshare")
    bob.ask("GET", f"{JOBS}/{id}", status=403)


def test_only_the_owner_and_admins_steer_and_delete(people: tuple[Visitor, ...], pictures: Path) -> None:
    ann, bob, root = people
    id = ann.start(WORD, pictures, **LONG)
    for order in ("pause", "resume", "stop", "cancel", "share"):
        assert "that of ann" in bob.order(id, order, status=403)
    for order in ("pause", "stop", "cancel"):
        bob.ask("POST", f"{PREFIX}/trainings/{WORD}/{order}", status=403)
    bob.ask("GET", f"{PREFIX}/trainings/{WORD}", status=403)
    assert "that of ann" in bob.ask("DELETE", f"{JOBS}/{id}", status=403)["detail"]
    assert bob.ask("GET", f"{PREFIX}/training") == {"state": "idle"}
    assert ann.ask("GET", f"{PREFIX}/training")["name"] == WORD
    root.order(id, "pause")
    ann.waits_for(id, "paused")
    assert "is paused; only a job that is waiting or running can be paused" in ann.order(id, "pause", status=409)
    ann.order(id, "resume")
    ann.waits_for(id, "running")
    assert "is under way; stop or cancel it first" in ann.ask("DELETE", f"{JOBS}/{id}", status=409)["detail"]
    ann.order(id, "stop")
    ann.waits_for(id, "stopped", "cancelled")
    root.ask("DELETE", f"{JOBS}/{id}")
    assert ann.list() == [] and ann.ask("GET", f"{JOBS}/{id}", status=404)


def test_the_queue_takes_people_in_turns_and_says_when(
    people: tuple[Visitor, ...], pictures: Path, trainings: Trainings
) -> None:
    ann, bob, root = people
    with trainings.host.turns:
        ids = {name: ann.start(name, pictures, **LONG) for name in ("zxqv-a", "zxqv-b", "zxqv-c")}
        ids["zxqv-d"] = bob.start("zxqv-d", pictures, **LONG)

        def queue() -> str:
            waiting = [job for job in root.list("whose=all") if job["place"]]
            assert [job["place"] for job in waiting] == list(range(1, len(waiting) + 1))
            return "".join(job["title"][-1] for job in waiting)

        assert queue() == "dbc"
        ann.order(ids["zxqv-c"], "move", {"before": ids["zxqv-b"]})
        assert queue() == "dcb"
        assert "Only jobs that wait" in ann.order(ids["zxqv-c"], "move", {"before": ids["zxqv-d"]}, 409)
        bob.order(ids["zxqv-c"], "move", {"before": None}, 403)
        assert "Only an admin" in ann.order(ids["zxqv-b"], "priority", {"priority": 1}, 403)
        assert "it can be -1, 0, 1" in root.order(ids["zxqv-b"], "priority", {"priority": 5}, 409)
        root.order(ids["zxqv-b"], "priority", {"priority": 1})
        assert queue() == "bdc"
        ann.order(ids["zxqv-b"], "priority", {"priority": -1})
        assert queue() == "dcb"
        ann.order(ids["zxqv-b"], "priority", {"priority": 0})
    wait_until(lambda: ann.job(ids["zxqv-a"])["seconds_left"] is not None)
    waiting = bob.job(ids["zxqv-d"])
    assert waiting["begins_in"] > 0 and waiting["ends_in"] > waiting["begins_in"]


def test_what_did_not_change_is_not_sent_again(people: tuple[Visitor, ...], pictures: Path) -> None:
    ann = people[0]
    id = ann.start(WORD, pictures)
    ann.waits_for(id, "finished")
    for path in (JOBS, f"{JOBS}/{id}"):
        first = ann.client.get(path, auth=ann.login)
        again = ann.client.get(path, auth=ann.login, headers={"If-None-Match": first.headers["etag"]})
        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
        ann.order(id, "share" if path == JOBS else "unshare")
        changed = ann.client.get(path, auth=ann.login, headers={"If-None-Match": first.headers["etag"]})
        assert changed.status_code == 200 and changed.headers["etag"] != first.headers["etag"]


def test_two_runs_are_seen_side_by_side(people: tuple[Visitor, ...], pictures: Path) -> None:
    ann, bob, _ = people
    one, other = ann.start("zxqv-a", pictures), ann.start("zxqv-b", pictures, learning_rate="0.01")
    ann.waits_for(other, "finished")
    seen = ann.ask("GET", f"{JOBS}/{one}/beside/{other}")
    assert [job["title"] for job in seen["jobs"]] == ["zxqv-a", "zxqv-b"] and seen["contact_sheets"] == [True, True]
    differing = {row["name"]: row["values"] for row in seen["settings"] if row["values"][0] != row["values"][1]}
    assert differing.keys() == {"name", "learning_rate"} and differing["learning_rate"][1] == "0.01"
    pictures_of = [
        ann.ask("GET", f"{JOBS}/{one}/beside/{other}/curves.png?theme={theme}") for theme in ("light", "dark")
    ]
    assert all(found.startswith(b"\x89PNG") for found in pictures_of) and pictures_of[0] != pictures_of[1]
    bob.ask("GET", f"{JOBS}/{one}/beside/{other}/curves.png", status=403)


@pytest.mark.parametrize("id", ["none", "..%2f..", "%00", "a' OR '1'='1", "x" * 5000, "<script>"])
def test_a_forged_id_finds_nothing(people: tuple[Visitor, ...], pictures: Path, id: str) -> None:
    root = people[2]
    for path in ("", "/curve.png", "/previews/1.png", "/pictures/0.jpg", f"/beside/{id}"):
        root.ask("GET", f"{JOBS}/{id}{path}", status=404)
    root.ask("POST", f"{JOBS}/{id}/cancel", status=404)
    root.ask("DELETE", f"{JOBS}/{id}", status=404)


def test_nobody_comes_in_without_a_login(people: tuple[Visitor, ...]) -> None:
    client = people[0].client
    for login in (None, ("ann", "wrong"), ("nobody", ""), ("", "")):
        answer = client.get(JOBS, auth=login)
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic")


def test_a_page_of_another_site_can_neither_see_nor_steer(people: tuple[Visitor, ...]) -> None:
    ann = people[0]
    for method, path in (("GET", JOBS), ("POST", f"{JOBS}/x/cancel"), ("DELETE", f"{JOBS}/x")):
        answer = ann.client.request(method, path, auth=ann.login, headers={"Origin": "https://elsewhere.example"})
        assert answer.status_code == 403


def test_browsers_without_a_login_get_a_cookie_that_scripts_cannot_read(trainings: Trainings, pictures: Path) -> None:
    one, other = (Visitor(TestClient(app_of(trainings))) for _ in range(2))
    for visitor in (one, other):
        answer = visitor.client.get(f"{PREFIX}/me")
        cookie = answer.headers["set-cookie"].lower()
        assert COOKIE in cookie and "httponly" in cookie and "samesite=strict" in cookie and "secure" not in cookie
        assert "set-cookie" not in visitor.client.get(f"{PREFIX}/me").headers
    assert "Secure" in TestClient(app_of(trainings), base_url="https://here").get(f"{PREFIX}/me").headers["set-cookie"]
    id = one.start(WORD, pictures, **LONG)
    assert one.job(id)["owner"] == "you" and other.job(id)["owner"].startswith("browser ")
    other.order(id, "cancel", status=403)
    forged = Visitor(TestClient(app_of(trainings), cookies={COOKIE: new_session()}))
    forged.order(id, "cancel", status=403)
    one.order(id, "cancel")


def test_who_has_the_computer_to_himself_notices_nothing(tmp_path: Path, pictures: Path) -> None:
    trainings = Trainings(small_host(tmp_path / "alone"))
    one, other = (Visitor(TestClient(app_of(trainings))) for _ in range(2))
    assert "set-cookie" not in one.client.get(f"{PREFIX}/me").headers
    id = one.start(WORD, pictures, **LONG)
    assert one.ask("GET", JOBS)["alone"] and other.job(id)["owner"] == "you"
    other.order(id, "cancel")
    trainings.end()


def test_a_list_of_a_thousand_old_jobs_is_read_in_parts(people: tuple[Visitor, ...], trainings: Trainings) -> None:
    ann, now = people[0], time.time()
    for number in range(1000):
        owner = "name:ann" if number % 2 else "name:bob"
        job = Job(
            "training", owner, f"word-{number}", SMALL, state="finished", ended=now - number, result={"seconds": 9}
        )
        trainings.queue.store.add(job)
    seen = ann.ask("GET", f"{JOBS}?whose=all")
    assert (seen["total"], len(seen["jobs"]), seen["jobs"][0]["title"]) == (1000, 50, "word-0")
    assert ann.ask("GET", JOBS)["total"] == 500
    assert len(ann.list("whose=all&count=999999")) == 1000 and ann.list("search=word-77&state=finished&whose=all")
    assert ann.list("state=open") == []


def test_a_lost_list_is_made_anew_from_the_folders(
    people: tuple[Visitor, ...], trainings: Trainings, pictures: Path, tmp_path: Path
) -> None:
    ann, bob, _ = people
    finished = ann.start("zxqv-a", pictures)
    ann.waits_for(finished, "finished")
    ann.order(finished, "share")
    interrupted = bob.start("zxqv-b", pictures, **LONG)
    wait_until(lambda: bob.job(interrupted)["done"] > 3)
    before = ann.job(finished)
    trainings.end()
    for file in (tmp_path / "runs").glob(".jobs.sqlite3*"):
        file.unlink()
    later = Trainings(trainings.host)
    found = {one.id: one for one in later.queue.store.jobs()[0]}
    assert found == {}
    later.open()
    found = {one.id: one for one in later.queue.store.jobs()[0]}
    assert found[finished].owner == "name:ann" and found[finished].shared and found[finished].state == "finished"
    assert found[finished].result["best_step"] == before["figures"]["best_step"]
    assert found[interrupted].owner == "name:bob" and found[interrupted].state == "paused"
    assert found[interrupted].done > 0
    later.end()
