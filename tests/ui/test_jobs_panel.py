"""The form of trainings and the list of jobs: settings used again, and handlers that know who asks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from pseudoword.jobs.server.people import ALONE, People, Person
from pseudoword.jobs.training.trainings import Trainings
from pseudoword.ui.asking import asking
from pseudoword.ui.setting_fields import EXPERT
from pseudoword.ui.training_handlers import NEW_WORD, cloned
from tests.jobs.small_host import small_host
from tests.training.small_runs import draw_pictures, settings

ANN, BOB = Person("name:ann", "ann"), Person("name:bob", "bob")


def request(**headers: str) -> Any:
    """What Gradio tells a handler of who called it."""
    return SimpleNamespace(request=SimpleNamespace(cookies={}, headers={"host": "here", **headers}))


def test_a_handler_is_told_who_asks() -> None:
    handler = asking(People(lambda asked: asked.headers.get("user")), lambda person, *values: (person, values))
    assert handler(request(), 1, 2) == (ALONE, (1, 2))
    assert handler(request(user="ann")) == (ANN, ())


def test_a_page_of_another_site_calls_no_handler() -> None:
    handler = asking(People(), lambda person: pytest.fail("it was called"))
    with pytest.raises(gr.Error, match="may not ask"):
        handler(request(origin="https://elsewhere.example"))


def test_the_settings_of_a_job_are_used_again_by_who_may_see_them(tmp_path: Path) -> None:
    trainings = Trainings(small_host(tmp_path / "runs"))
    job = trainings.start(settings(seed=77), [draw_pictures(tmp_path / "given")], uploaded=False, person=ANN)
    job.wait(60)
    for person in (ANN, ALONE):
        start, word, *expert, said = cloned(trainings, job.id, person)
        values = dict(zip([one.name for one in EXPERT], expert, strict=True))
        assert (start, word, values["seed"], values["steps"]) == (settings().start, NEW_WORD, 77, 12)
        assert f"the settings of {job.settings.name}" in said
    assert "not shared" in cloned(trainings, job.id, BOB)[-1]
    assert "no such job" in cloned(trainings, "gone", ANN)[-1]
    trainings.end()
