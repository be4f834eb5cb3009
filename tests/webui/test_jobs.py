"""Jobs of several people on a WebUI with logins, killed while they run; and one without, whose browsers are people."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlencode

import pytest

from pseudoword.scoring import ClipScorer
from tests.scoring.kept_features import indexed, remembered, slow_to_read, spoil
from tests.webui.browsing import Visitor
from tests.webui.server import PATIENCE_S, PICTURES, Answer, Webui, furnished, running

PICTURE_COUNT = 400  # in each folder: so many that the server is killed in the middle
LAYERS = {"kind": "layers", "prompt": "a red cat", "layers": "1; 2; 3; 4; 1=0.5,2=0.5", "seeds": [1, 2], "steps": 100}
TEXTS = ["a cat", "a penguin"]
ROW = ".pseudoword-job"
Visit: TypeAlias = Callable[[Webui], Visitor]


class Person:
    """Somebody who has logged in to the WebUI's page; what he asks is asked by his browser."""

    def __init__(self, webui: Webui, name: str, password: str) -> None:
        form = urlencode({"username": name, "password": password}).encode()
        answer = webui.ask("/login", form, **{"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status == 200, answer
        self._webui, self._cookie = webui, answer.headers["set-cookie"].partition(";")[0]

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Answer:
        """What he gets from a route of the extension."""
        return self._webui.ask(f"/pseudoword/v1/{path}", body, method=method, Cookie=self._cookie)

    def jobs(self, whose: str = "mine") -> dict[str, dict[str, Any]]:
        """The jobs, by their ids."""
        found: list[dict[str, Any]] = self.ask(f"jobs?whose={whose}").json["jobs"]
        assert len({job["id"] for job in found}) == len(found)
        return {job["id"]: job for job in found}

    def one(self, kind: str, state: str) -> dict[str, Any]:
        """His only job of that kind in that state, once there is one."""

        def found() -> list[dict[str, Any]]:
            return [job for job in self.jobs().values() if (job["kind"], job["state"]) == (kind, state)]

        self.waits_until(lambda: len(found()) == 1)
        return found()[0]

    def waits_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until `is_so`."""
        ends = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < ends, self.jobs()
            time.sleep(0.1)


def in_background(ask: Callable[[], Any]) -> None:
    """Ask for what is answered late, by a server that may be killed meanwhile."""

    def quietly() -> None:
        with contextlib.suppress(OSError):
            ask()

    threading.Thread(target=quietly, daemon=True).start()


@pytest.fixture(scope="module")
def scorer() -> ClipScorer:
    return ClipScorer.builtin()


def test_a_killed_webui_goes_on_with_the_jobs_of_its_people(tmp_path: Path, scorer: ClipScorer) -> None:
    data, outputs = furnished(tmp_path / "webui"), tmp_path / "webui" / "outputs"
    shutil.copytree(PICTURES, outputs / "few")
    scored = slow_to_read(outputs / "scored", PICTURE_COUNT)
    searched = slow_to_read(outputs / "searched", PICTURE_COUNT, PICTURE_COUNT)
    cache, indexes = data / "pseudoword" / "clip-features.sqlite", data / "pseudoword" / "picture-index"
    flags = ("--api", "--server-name", "127.0.0.1", "--gradio-auth", "ann:a,bob:b", "--pseudoword-resume")
    to_read = {"order": "start", "folder": str(outputs / "searched")}
    index = f"search/index?{urlencode({'folder': str(outputs / 'searched')})}"
    with running(data, *flags) as webui:
        ann, bob = Person(webui, "ann", "a"), Person(webui, "bob", "b")
        done = ann.ask("scores", {"folder": str(outputs / "few"), "texts": TEXTS}).json
        assert done["state"] == "finished" and done["result"]["pictures"], done
        strip = ann.ask("strips", LAYERS).json["id"]
        ann.waits_until(lambda: bool(ann.ask(f"strips/{strip}").json["done"] >= 2))
        in_background(lambda: ann.ask("scores", {"folder": str(outputs / "scored"), "texts": TEXTS}))
        assert ann.ask("search/index", to_read).status == 200
        ann.waits_until(lambda: bool(remembered(cache, scorer, scored) and ann.ask(index).json["pictures"]))
        under_way = {kind: ann.one(kind, "running") for kind in ("scoring", "indexing", "layers")}
        assert bob.ask("search/index", {**to_read, "order": "pause"}).status == 403
        assert bob.ask(f"jobs/{under_way['layers']['id']}/cancel", {}).status == 403
        webui.kill()

        by_then = remembered(cache, scorer, scored), indexed(indexes, scorer, outputs / "searched")
        assert all(0 < len(paths) < PICTURE_COUNT for paths in by_then)
        made = shots(data, strip)
        assert 0 < len(made) < 5
        for paths in by_then:
            spoil(paths)
        webui.start()
        ann, bob = Person(webui, "ann", "a"), Person(webui, "bob", "b")
        found = ann.jobs()
        assert {job["id"] for job in under_way.values()} < set(found) and len(found) == 4, "none is lost, none doubled"
        assert ann.ask(f"scores/{done['id']}").json == done, "a finished result is there"
        nobody_else_steers_or_looks(bob, found)

        ann.waits_until(lambda: {job["state"] for job in ann.jobs().values()} == {"finished"})
        read_on, said = ann.jobs()[under_way["indexing"]["id"]], ann.jobs()[under_way["scoring"]["id"]]
        assert read_on["done"] == read_on["total"] == PICTURE_COUNT - len(by_then[1]), "read on from what was kept"
        assert indexed(indexes, scorer, outputs / "searched")[: len(by_then[1])] == by_then[1]
        assert sorted(indexed(indexes, scorer, outputs / "searched")) == searched
        result = ann.ask(f"{said['result']}").json["result"]
        assert result["pictures"] == [path.name for path in scored] and result["unreadable"] == []
        after = shots(data, strip)
        assert len(after) == 5 and made.items() <= after.items(), "no picture is made twice"
        assert ann.ask(f"strips/{strip}").json["done"] == 10


def shots(data: Path, strip: str) -> dict[str, int]:
    """When the pictures of a comparison were written, by their names."""
    folder = data / "pseudoword" / "runs" / ".jobs" / strip
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.png")}


def nobody_else_steers_or_looks(person: Person, jobs: dict[str, dict[str, Any]]) -> None:
    """`person`, whose jobs these are not, sees that they are there and no more."""
    assert person.jobs() == {}
    seen = person.jobs("all")
    assert set(seen) == set(jobs)
    for id, job in seen.items():
        assert job["owner"] == "ann" and not job["may_steer"] and not job["may_look"]
        assert (job["about"], job["says"], job["result"], job["message"]) == ("", [], "", "")
        assert person.ask(f"jobs/{id}").status == 403
        for order in ("pause", "resume", "stop", "cancel", "share"):
            assert person.ask(f"jobs/{id}/{order}", {}).status == 403, order
        assert person.ask(f"jobs/{id}", method="DELETE").status == 403


def test_without_logins_two_browsers_are_two_people(tmp_path: Path, visit: Visit) -> None:
    data = furnished(tmp_path / "webui")
    shutil.copytree(PICTURES, data / "outputs" / "few")
    with running(data, "--api", "--server-name", "127.0.0.1") as webui:
        nothing_to_search = webui.ask("/pseudoword/v1/search/index")
        assert nothing_to_search.status == 422 and "--pseudoword-folder" in nothing_to_search.detail
        download = webui.ask("/pseudoword/v1/clips/download", {"name": "ViT-B-32:openai"})
        assert download.status == 403 and "--pseudoword-admin" in download.detail
        assert webui.ask("/pseudoword/v1/clips").json["no_download"] == download.detail
        ann, bob = visit(webui), visit(webui)
        asked = {"folder": str(data / "outputs" / "few"), "texts": TEXTS}
        told = ann.page.evaluate(
            "async (asked) => (await fetch('pseudoword/v1/scores', {method: 'POST', body: JSON.stringify(asked), "
            "headers: {'Content-Type': 'application/json'}})).json()",
            asked,
        )
        assert told["state"] == "finished", told
        for visitor in (ann, bob):
            visitor.open_tab("Pseudoword")
            visitor.page.click("#tab_pseudoword .tab-nav button:has-text('Jobs')")
        ann.page.wait_for_selector(f"{ROW}:has-text('Scores of a folder'):has-text('few')")
        bob.page.wait_for_selector(".pseudoword-jobs-whose")
        assert bob.page.locator(ROW).count() == 0
        bob.page.select_option(".pseudoword-jobs-whose", "all")
        theirs = bob.page.locator(f"{ROW}:has-text('by browser')")
        theirs.wait_for()
        assert "few" not in theirs.inner_text() and theirs.locator("button").count() == 0
        assert bob.page.locator(ROW).count() == 1
        bob.page.click("#tab_pseudoword .tab-nav button:has-text('Score')")
        bob.page.click("#pseudoword_clips_fold >> text=CLIP models")
        bob.is_told("#pseudoword-clips", download.detail)
        bob.page.wait_for_selector("#pseudoword_clip_download:disabled")
