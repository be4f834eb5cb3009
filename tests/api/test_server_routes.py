"""Health for everybody, metrics for who watches over the server, in the form that Prometheus reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from pseudoword import __version__
from pseudoword.api.logins import Logins
from pseudoword.api.prometheus_text import CONTENT_TYPE, Figure, Histogram, prometheus_text
from pseudoword.api.server_routes import HEALTH, PREFIX, add_server_routes
from pseudoword.jobs.server.measures import Timer
from pseudoword.jobs.server.people import People, user_let_in
from pseudoword.jobs.store.job_store import FILE
from pseudoword.jobs.training.trainings import Trainings
from tests.jobs.small_host import small_host
from tests.training.small_runs import draw_pictures, settings

METRICS = f"{PREFIX}/metrics"
NEAR, FAR = ("127.0.0.1", 50000), ("192.0.2.7", 50000)
SAMPLE = re.compile(
    r'(?P<name>[a-z_:][a-z0-9_:]*)(?:\{(?P<labels>(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (?P<value>\S+)'
)


def read(text: str) -> dict[str, float]:
    """The values in a text, by name and labels, read as strictly as the format is written down."""
    assert text.endswith("\n")
    found: dict[str, float] = {}
    family, families = "", set()
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in families
            families.add(family)
        elif line.startswith("# TYPE "):
            assert re.fullmatch(rf"# TYPE {family} (gauge|counter|histogram)", line)
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample is not None, line
            assert re.fullmatch(rf"{family}(_bucket|_sum|_count)?", sample["name"])
            key = sample["name"] + (f"{{{sample['labels']}}}" if sample["labels"] else "")
            assert key not in found
            found[key] = float(sample["value"])
    return found


@pytest.fixture
def trainings(tmp_path: Path) -> Iterator[Trainings]:
    people = People(user_let_in, lambda: True, lambda: ["root"])
    trainings = Trainings(replace(small_host(tmp_path / "runs"), people=people))
    yield trainings
    trainings.end()


def client(trainings: Trainings, address: tuple[str, int] = FAR) -> TestClient:
    app = FastAPI()
    add_server_routes(app, trainings)
    app.add_middleware(Logins, passwords={"root": "r", "ann": "a"}, open_to_all=[HEALTH])

    async def from_address(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "client": address}, receive, send)

    return TestClient(from_address)


def test_health_is_for_everybody(trainings: Trainings) -> None:
    answer = client(trainings).get(HEALTH)
    assert answer.status_code == 200
    found = answer.json()
    assert found.pop("free_disk_bytes") > 0
    assert found == {"status": "ok", "version": __version__, "model_loaded": True, "store_sound": True}
    assert client(trainings).post(HEALTH).status_code == 401
    assert not trainings.host.runs.exists()


def test_a_list_of_jobs_that_cannot_be_read_is_no_health(trainings: Trainings) -> None:
    (trainings.host.runs / FILE).mkdir(parents=True)
    answer = client(trainings).get(HEALTH)
    assert answer.status_code == 503
    assert answer.json()["status"] == "degraded" and not answer.json()["store_sound"]
    assert str(trainings.host.runs) not in answer.text
    assert client(trainings, NEAR).get(METRICS, auth=("ann", "a")).status_code == 200
    (trainings.host.runs / FILE).rmdir()


@pytest.mark.parametrize(
    ("address", "login", "headers", "status"),
    [
        (FAR, None, {}, 401),
        (FAR, ("ann", "a"), {}, 403),
        (FAR, ("root", "r"), {}, 200),
        (NEAR, ("ann", "a"), {}, 200),
        (NEAR, ("ann", "a"), {"X-Forwarded-For": "192.0.2.7"}, 403),
        (FAR, ("ann", "a"), {"X-Forwarded-For": "127.0.0.1"}, 403),
    ],
)
def test_metrics_are_for_admins_and_this_computer(
    trainings: Trainings, address: tuple[str, int], login: tuple[str, str] | None, headers: dict[str, str], status: int
) -> None:
    answer = client(trainings, address).get(METRICS, auth=login, headers=headers)
    assert answer.status_code == status


def test_the_figures_tell_what_was_done(trainings: Trainings, tmp_path: Path) -> None:
    trainings.start(settings(), [draw_pictures(tmp_path / "pictures")], uploaded=False).wait(60)
    answer = client(trainings).get(METRICS, auth=("root", "r"))
    assert answer.headers["content-type"] == CONTENT_TYPE
    found = read(answer.text)
    assert found['pseudoword_jobs{kind="training",state="finished"}'] == 1
    assert found["pseudoword_training_steps_total"] > 0 and found["pseudoword_training_steps_per_second"] > 0
    assert found["pseudoword_slice_wait_seconds_count"] > 0 and found["pseudoword_job_wait_seconds_count"] == 1
    assert found["pseudoword_runs_bytes"] > 1000 and found["pseudoword_free_disk_bytes"] > 0
    assert found[f'pseudoword_info{{version="{__version__}"}}'] == 1
    assert str(tmp_path) not in answer.text and "zxqv" not in answer.text


@given(st.dictionaries(st.sampled_from(["kind", "state"]), st.text()), st.floats())
def test_whatever_a_label_says_the_text_stays_readable(labels: dict[str, str], value: float) -> None:
    found = read(prometheus_text([Figure("a", "gauge", "It\nis \\ odd.", ((labels, value),))]))
    (told,) = found.values()
    assert told == value or value != value


@given(st.lists(st.floats(0, 1e6), max_size=20))
def test_a_histogram_adds_up(seconds: list[float]) -> None:
    timer = Timer((1.0, 10.0))
    for one in seconds:
        timer.add(one)
    found = read(prometheus_text([Histogram("a", "Some.", timer.read())]))
    assert found['a_bucket{le="1"}'] == sum(one <= 1 for one in seconds)
    assert found['a_bucket{le="10"}'] == sum(one <= 10 for one in seconds)
    assert found['a_bucket{le="+Inf"}'] == found["a_count"] == len(seconds)
    assert found["a_sum"] == pytest.approx(sum(seconds))
