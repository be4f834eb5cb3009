"""Who may what on the studio: routes and panels, asked by the owner of a job, an admin, others, and without a login."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from pseudoword.ui.gradio_versions import IS_OLD
from pseudoword.ui.training_handlers import continued, removed
from tests.api.panel_presses import EVERYBODYS, OF_THE_PAGE, PRESSES
from tests.api.panel_rights import Page
from tests.api.rights import PAGE, AllRights, asked_for_all
from tests.api.rights_studio import ADMIN, BOB, NO, NOBODY, OTHER, OWNER, SHARED, YES, RightsStudio
from tests.api.route_rights import TOLD, about_a_job

pytestmark = pytest.mark.skipif(IS_OLD, reason="the studio needs a later Gradio than the WebUI's")

Rights = Mapping[str, Mapping[str, str]]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RightsStudio, AllRights]]:
    pytest.importorskip("open_clip")
    with asked_for_all(tmp_path_factory.mktemp("rights")) as found:
        yield found


@pytest.fixture(scope="module")
def studio(asked: tuple[RightsStudio, AllRights]) -> RightsStudio:
    return asked[0]


@pytest.fixture(scope="module")
def found(asked: tuple[RightsStudio, AllRights]) -> AllRights:
    return asked[1]


@pytest.fixture(scope="module")
def routes(found: AllRights) -> Rights:
    return found.routes


def test_the_page_says_who_may_what(found: AllRights) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert found.written_into(page) == page, "run python -m tests.api.rights"


def test_without_a_login_one_sees_that_the_server_is_well_and_nothing_else(routes: Rights, found: AllRights) -> None:
    assert [route for route, cells in routes.items() if cells[NOBODY] != NO] == ["GET /health"]
    assert all(cells[NOBODY] == NO for of_kind in found.kinds.values() for cells in of_kind.values())
    assert all(cells[NOBODY] == NO for cells in found.panels.values())


@pytest.mark.parametrize(
    ("person", "reads", "changes"), [(OWNER, YES, YES), (ADMIN, YES, YES), (OTHER, NO, NO), (SHARED, YES, NO)]
)
def test_a_job_is_steered_by_its_owner_and_admins_and_seen_by_whom_it_is_shared_with(
    routes: Rights, found: AllRights, person: str, reads: str, changes: str
) -> None:
    of_trainings = {route: cells[person] for route, cells in routes.items() if about_a_job(route)}
    assert len(of_trainings) > 20
    for jobs in (
        of_trainings,
        *({route: cells[person] for route, cells in one.items()} for one in found.kinds.values()),
    ):
        assert len(jobs) > 10
        assert jobs == {route: reads if route.startswith("GET") or route == TOLD else changes for route in jobs}


def test_what_one_follows_is_ones_own(routes: Rights) -> None:
    followed = {route: cells for route, cells in routes.items() if route.partition(" ")[2].startswith("/training/")}
    assert len(followed) == 4
    assert all(cells[OTHER] not in (YES, "") for cells in followed.values())


def test_the_metrics_and_downloads_are_the_admins(routes: Rights) -> None:
    for route in ("GET /metrics", "POST /clips/download", "DELETE /clips/download"):
        assert {person for person, cell in routes[route].items() if cell == YES} == {ADMIN}


def test_the_page_has_a_row_for_every_route(routes: Rights) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{route}` |" in page for route in routes)


def test_all_that_the_server_is_asked_for_by_the_page_is_known(studio: RightsStudio) -> None:
    assert Page(studio).targets() == {press.target for press in PRESSES} | OF_THE_PAGE | EVERYBODYS


def test_without_a_login_nothing_on_the_page_answers(studio: RightsStudio) -> None:
    page = Page(studio)
    for target in page.targets():
        assert page.press(NOBODY, page.session(), target).status == 401, target


@pytest.mark.parametrize("what", ["Pause", "Resume", "Stop, keep", "Cancel", "Earlier runs: Remove it"])
def test_nobody_presses_what_becomes_of_somebody_else_s_training(found: AllRights, what: str) -> None:
    assert found.panels["Train", what][OWNER] == YES != found.panels["Train", what][OTHER]


def test_a_run_that_the_page_does_not_offer_is_refused_as_well(studio: RightsStudio) -> None:
    job = studio.job("training", "paused")  # today's Gradio looks at what is offered; the WebUI's takes anything
    assert "that of ann" in continued(studio.trainings, job.title, BOB)
    assert "that of ann" in removed(studio.trainings, job.title, BOB)[1]
    assert studio.job("training", "paused").state == studio.trainings.board.job(job.id).state == "paused"
