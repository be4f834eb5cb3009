"""Who may do what with whose job, and how much one may ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pseudoword.errors import LimitReached, NotYours, SettingsError
from pseudoword.jobs.server.limits import Limits, parse_limits
from pseudoword.jobs.server.people import ALONE, COOKIE, PROGRAM, People, Person, check_login, new_session, user_let_in
from pseudoword.jobs.store.job_store import Job
from pseudoword.jobs.training.trainings import Trainings
from tests.jobs.small_host import small_host
from tests.test_decoding import png_claiming
from tests.training.small_runs import draw_pictures, settings

ANN, BOB, ADMIN = Person("name:ann", "ann"), Person("name:bob", "bob"), Person("name:root", "root", is_admin=True)


def request(session: str = "", **headers: str) -> Any:
    return SimpleNamespace(cookies={COOKIE: session} if session else {}, headers={"host": "here", **headers})


def job(owner: str, shared: bool = False) -> Job:
    return Job("training", owner, "cup", {}, shared=shared)


def test_the_owner_and_admins_may_do_everything_others_look_where_it_is_shared() -> None:
    for person, may, may_look, may_look_at_shared in (
        (ANN, True, True, True),
        (BOB, False, False, True),
        (ADMIN, True, True, True),
        (ALONE, True, True, True),
        (PROGRAM, False, False, True),
    ):
        assert person.may(job(ANN.owner)) is may
        assert person.may_look_into(job(ANN.owner)) is may_look
        assert person.may_look_into(job(ANN.owner, shared=True)) is may_look_at_shared
    with pytest.raises(NotYours, match="that of ann"):
        BOB.check_may(job(ANN.owner, shared=True))
    with pytest.raises(NotYours, match="not shared"):
        BOB.check_may_look_into(job(ANN.owner))
    with pytest.raises(NotYours, match="from before people were told apart"):
        BOB.check_may(job(""))


def test_who_has_the_computer_to_himself_is_asked_nothing() -> None:
    people = People()
    assert people.of(request()) == people.of(request(), is_program=True) == ALONE
    assert not people.needs_cookie(request())


def test_people_with_a_login_are_known_by_it() -> None:
    people = People(lambda asked: asked.headers.get("user"), lambda: True, lambda: ["root"])
    assert people.of(request(user="ann")) == ANN and people.of(request(user="root")) == ADMIN
    assert not people.needs_cookie(request(user="ann"))


def test_browsers_are_told_apart_by_a_cookie_that_no_page_is_told() -> None:
    people = People(by_browser=lambda: True)
    one, other = new_session(), new_session()
    first = people.of(request(one))
    assert people.of(request(one)) == first != people.of(request(other))
    assert one not in first.owner and not first.is_admin
    assert people.needs_cookie(request()) and not people.needs_cookie(request(one))
    for forged in ("", "x", "name:ann", "a" * 44, "../../etc"):
        assert people.of(request(forged), is_program=True) == PROGRAM
        with pytest.raises(NotYours, match="cookie"):
            people.of(request(forged))


@pytest.mark.parametrize("people", [People(), People(by_browser=lambda: True)])
def test_a_page_of_another_site_is_nobody(people: People) -> None:
    for origin in ("https://elsewhere.example", "null", "http://here.elsewhere.example"):
        with pytest.raises(NotYours, match="may not ask"):
            people.of(request(new_session(), origin=origin))
    assert people.of(request(new_session(), origin="http://here"))


@pytest.mark.parametrize("header", ["", "Basic", "Basic ???", "Bearer YW5uOng=", "Basic //8=", "Basic Og=="])
def test_a_header_without_a_login_names_nobody(header: str) -> None:
    assert user_let_in(request(authorization=header)) is None


def test_logins_are_names_with_passwords() -> None:
    assert check_login("ann:pass:word") == ("ann", "pass:word")
    for wrong in ("", "ann", "ann:", ":word"):
        with pytest.raises(SettingsError, match="NAME:PASSWORD"):
            check_login(wrong)


def test_limits_are_read_from_flags() -> None:
    read = parse_limits(["jobs=5", "pictures=50", "pixels=50M", "bytes=30MB", "steps=20k", "disk=100GB"])
    assert read == Limits(5, 50, 50_000_000, 30_000_000, 20_000, 100_000_000_000)
    assert parse_limits([]) == Limits()
    for wrong in ("jobs", "jobs=", "jobs=-1", "jobs=many", "job=5", "=5", "jobs=5 5"):
        with pytest.raises(SettingsError, match="is no limit"):
            parse_limits([wrong])


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(pictures=3), "There are 4 pictures, and 3 are allowed"),
        (Limits(pixels=100), "pixels, and 100 in all are allowed"),
        (Limits(bytes=10), "are allowed here; make the picture smaller"),
        (Limits(steps=11), "12 steps are asked for, and 11 are allowed"),
        (Limits(disk=0), "The runs of this server take"),
        (Limits(jobs=0), "0 of your jobs have not ended, and 0 at a time are allowed"),
    ],
)
@pytest.mark.parametrize("uploaded", [True, False])
def test_a_limit_that_is_reached_is_told_in_a_sentence(
    tmp_path: Path, limits: Limits, says: str, uploaded: bool
) -> None:
    folder = draw_pictures(tmp_path / "given")
    trainings = Trainings(replace(small_host(tmp_path / "runs"), limits=limits))
    with pytest.raises(LimitReached, match=says):
        trainings.start(settings(), sorted(folder.iterdir()) if uploaded else [folder], uploaded)
    assert not (tmp_path / "runs" / settings().name).exists()
    trainings.end()


def test_pixels_are_counted_before_anything_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "claims.png").write_bytes(png_claiming(5000, 5000))  # and is broken, which only decoding finds out
    (tmp_path / "none.png").write_text("no picture at all")
    Limits(pixels=25_000_000).check_files([tmp_path])
    with pytest.raises(LimitReached, match="claims.png has 5000 × 5000 pixels"):
        Limits(pixels=24_000_000).check_files([tmp_path])


def test_limits_of_one_person_are_not_another_s(tmp_path: Path) -> None:
    folder = draw_pictures(tmp_path / "given")
    trainings = Trainings(replace(small_host(tmp_path / "runs"), limits=Limits(jobs=1)))
    with trainings.host.turns:
        trainings.start(settings(), [folder], uploaded=False, person=ANN)
        with pytest.raises(LimitReached):
            trainings.start(settings(name="zxqv-more"), [folder], uploaded=False, person=ANN)
        trainings.start(settings(name="zxqv-other"), [folder], uploaded=False, person=BOB)
        assert trainings.earlier(ANN) == [] and [job.owner for job in trainings.jobs()] == [BOB.owner, ANN.owner]
    trainings.end()


def test_only_the_owner_goes_on_with_a_run_or_removes_it(tmp_path: Path) -> None:
    folder = draw_pictures(tmp_path / "given")
    trainings = Trainings(small_host(tmp_path / "runs"))
    name = trainings.start(settings(steps=100_000), [folder], uploaded=False, person=ANN).settings.name
    trainings.end()
    later = Trainings(small_host(tmp_path / "runs"))
    assert later.earlier(ANN) == later.interrupted(ANN) == [name] and later.earlier(BOB) == []
    with pytest.raises(NotYours):
        later.go_on(name, BOB)
    with pytest.raises(NotYours):
        later.remove(name, BOB)
    later.remove(name, ANN)
    assert later.earlier(ADMIN) == [] and later.queue.store.jobs() == ([], 0)
    later.end()
