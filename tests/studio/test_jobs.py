"""The studio for several people, as a program that may be killed at any moment: no job is lost, none is doubled."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from pseudoword.cli import main
from pseudoword.cli.feature_cache_choice import default_cache
from tests.scoring.kept_features import indexed, slow_to_read, spoil
from tests.studio.person import Person
from tests.studio.process import Studio, started
from tests.training.small_runs import SMALL, draw_pictures

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")


def kill(studio: Studio) -> None:
    studio.process.send_signal(signal.SIGKILL)
    studio.process.wait()


def test_a_killed_server_finds_every_job_again(model: Path, tmp_path: Path) -> None:
    with started(model, tmp_path) as studio:
        person = Person(studio)
        assert person.teach("zxqv-done", SMALL) == person.teach("zxqv-long") == person.teach("zxqv-next") == 201
        person.waits_until(lambda: person.jobs()["zxqv-long"]["done"] > 6)
        before = person.jobs()
        assert person.states() == {"zxqv-done": "finished", "zxqv-long": "running", "zxqv-next": "waiting"}
        kill(studio)
    with started(model, tmp_path) as studio:
        person = Person(studio)
        # What was running waits to be resumed; what waited has its turn.
        person.waits_until(lambda: person.jobs()["zxqv-next"]["done"] > 1)
        found = person.jobs()
        assert person.states() == {"zxqv-done": "finished", "zxqv-long": "paused", "zxqv-next": "running"}
        assert {title: job["id"] for title, job in found.items()} == {title: job["id"] for title, job in before.items()}
        assert found["zxqv-done"]["figures"] == before["zxqv-done"]["figures"]
        assert found["zxqv-long"]["done"] >= 5 and "The server ended meanwhile" in found["zxqv-long"]["message"]
        kill(studio)
    with started(model, tmp_path, "--resume") as studio:
        person = Person(studio)
        step = person.jobs()["zxqv-next"]["done"]
        person.waits_until(lambda: person.jobs()["zxqv-next"]["done"] > step + 1)
        assert person.states() == {"zxqv-done": "finished", "zxqv-long": "paused", "zxqv-next": "running"}
        code, said = studio.interrupt()
        assert code == 0 and "zxqv-next is saved" in said and "Traceback" not in said, said


def test_a_killed_server_goes_on_with_comparisons_and_folders(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    asked = {"kind": "layers", "prompt": "a cat", "layers": "1; 2; 1=0.5,2=0.5", "seeds": [1, 2], "steps": 40}
    folder = draw_pictures(tmp_path / "pictures")
    with started(model, tmp_path) as studio:
        person = Person(studio)
        done = person.ask("scores", {"folder": str(folder), "texts": ["a cat"]}, "POST")[1]
        person.waits_until(lambda: person.ask(f"scores/{done['id']}")[1]["state"] == "finished")
        before = person.ask(f"scores/{done['id']}")[1]
        strip = person.ask("strips", asked, "POST")[1]["id"]
        person.waits_until(lambda: person.ask(f"strips/{strip}")[1]["done"] > 0)
        kill(studio)
    with started(model, tmp_path, "--resume") as studio:
        person = Person(studio)
        assert person.ask(f"scores/{done['id']}")[1] == before, "a finished result is there"
        found = person.ask(f"strips/{strip}")[1]
        assert found["done"] >= 2, "what was made is not lost"
        person.waits_until(lambda: person.ask(f"strips/{strip}")[1]["state"] == "finished")
        found = person.ask(f"strips/{strip}")[1]
        assert found["done"] == found["total"] == 6
        kinds = {job["kind"]: job["state"] for job in person.jobs().values()}
        assert kinds == {"scoring": "finished", "layers": "finished"}
        code, said = studio.interrupt()
        assert code == 0 and "Traceback" not in said, said


def test_a_killed_server_goes_on_with_an_index_from_what_was_kept(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("open_clip")
    from pseudoword.scoring import ClipScorer

    scorer, folder = ClipScorer.builtin(), tmp_path / "pictures" / "many"
    draw_pictures(tmp_path / "pictures")
    pictures = slow_to_read(folder, 200)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    indexes = default_cache().parent / "picture-index"
    index, order = f"search/index?{urlencode({'folder': str(folder)})}", {"order": "start", "folder": str(folder)}

    def read_some_more(before: list[Path], *orders: dict[str, str]) -> list[Path]:
        """Start, and kill it once more was read than `before`; returns what was, which nobody can read again."""
        with started(model, tmp_path, "--resume") as studio:
            person = Person(studio)
            for one in orders:
                assert person.ask("search/index", one, "POST")[0] == 200
            person.waits_until(lambda: person.ask(index)[1]["pictures"] > len(before))
            assert the_job(person)["state"] == "running"
            kill(studio)
        kept = indexed(indexes, scorer, folder)
        assert kept[: len(before)] == before and len(before) < len(kept) < len(pictures)
        spoil(kept[len(before) :])
        return kept

    kept = read_some_more(read_some_more([], order))
    with started(model, tmp_path, "--resume") as studio:
        person = Person(studio)
        person.waits_until(lambda: the_job(person)["state"] == "finished")
        assert the_job(person)["done"] == the_job(person)["total"] == len(pictures) - len(kept)
        found = person.ask("search", {"words": "", "folder": str(folder), "count": 200}, "POST")[1]
        assert found["among"] == len(pictures) and len({hit["name"] for hit in found["hits"]}) == len(pictures)
        stands = person.ask(index)[1]
        assert (stands["state"], stands["pictures"], stands["unreadable"]) == ("up to date", len(pictures), 0)
        code, said = studio.interrupt()
        assert code == 0 and "Traceback" not in said, said
    assert indexed(indexes, scorer, folder)[: len(kept)] == kept
    assert sorted(indexed(indexes, scorer, folder)) == pictures


def the_job(person: Person) -> dict[str, Any]:
    """The only one on the list."""
    [job] = person.jobs().values()
    return job


def test_people_with_logins_have_their_own_jobs_and_limits(model: Path, tmp_path: Path) -> None:
    flags = ["--login", "ann:a", "--login", "bob:b", "--login", "root:r", "--admin", "root", "--limit", "jobs=1"]
    draw_pictures(tmp_path / "pictures")
    flags += ["--folder", "pictures"]
    with started(model, tmp_path, *flags) as studio:
        ann, bob, root, nobody = (Person(studio, login) for login in ("ann:a", "bob:b", "root:r", "ann:wrong"))
        assert nobody.ask("jobs") == (401, {"detail": "Give a name and a password that are known here."})
        assert ann.ask("me") == (200, {"name": "ann", "admin": False}) and root.ask("me")[1]["admin"]
        assert ann.teach("zxqv-a") == 201 and ann.teach("zxqv-b") == 429 and bob.teach("zxqv-c") == 201
        id = ann.jobs()["zxqv-a"]["id"]
        assert bob.ask(f"jobs/{id}/cancel", {}, "POST")[0] == 403
        assert root.ask(f"jobs/{id}/cancel", {}, "POST")[0] == 200
        bob.waits_until(lambda: bob.states() == {"zxqv-a": "cancelled", "zxqv-c": "running"})


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--admin", "ann"], "who has no login"),
        (["--login", "ann"], "NAME:PASSWORD"),
        (["--limit", "jobs=many"], "is no limit"),
    ],
)
def test_flags_that_make_no_sense_are_told(flags: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studio", "--no-browser", *flags]) == 1
    assert says in capsys.readouterr().err
