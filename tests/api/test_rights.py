"""Who may what on the studio: all its routes, asked by the owner of a job, an admin, others, and without a login."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pseudoword.ui.gradio_versions import IS_OLD
from tests.api.rights import (
    ADMIN,
    NO,
    NOBODY,
    OTHER,
    OWNER,
    PAGE,
    SECTION,
    SHARED,
    YES,
    about_a_job,
    rights,
    rights_studio,
    rights_table,
)
from tools.pages import with_section

pytestmark = pytest.mark.skipif(IS_OLD, reason="the studio needs a later Gradio than the WebUI's")

Rights = Mapping[str, Mapping[str, str]]


@pytest.fixture(scope="module")
def all_rights(tmp_path_factory: pytest.TempPathFactory) -> Rights:
    pytest.importorskip("open_clip")
    with rights_studio(tmp_path_factory.mktemp("rights")) as studio:
        return {route: rights(studio, route) for route in studio.routes}


def test_the_page_says_who_may_what(all_rights: Rights) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_section(page, SECTION, rights_table(all_rights)) == page, "run python -m tests.api.rights"


def test_without_a_login_one_sees_that_the_server_is_well_and_nothing_else(all_rights: Rights) -> None:
    assert [route for route, cells in all_rights.items() if cells[NOBODY] != NO] == ["GET /health"]


@pytest.mark.parametrize(
    ("person", "reads", "changes"), [(OWNER, YES, YES), (ADMIN, YES, YES), (OTHER, NO, NO), (SHARED, YES, NO)]
)
def test_a_job_is_steered_by_its_owner_and_admins_and_seen_by_whom_it_is_shared_with(
    all_rights: Rights, person: str, reads: str, changes: str
) -> None:
    jobs = {route: cells[person] for route, cells in all_rights.items() if about_a_job(route)}
    assert len(jobs) > 20
    assert jobs == {route: reads if route.startswith("GET") else changes for route in jobs}


def test_what_one_follows_is_ones_own(all_rights: Rights) -> None:
    followed = {route: cells for route, cells in all_rights.items() if route.partition(" ")[2].startswith("/training/")}
    assert len(followed) == 4
    assert all(cells[OTHER] not in (YES, "") for cells in followed.values())


def test_the_metrics_are_the_admins(all_rights: Rights) -> None:
    cells = all_rights["GET /metrics"]
    assert {person for person, cell in cells.items() if cell == YES} == {ADMIN}


def test_the_page_has_a_row_for_every_route(tmp_path: Path, all_rights: Rights) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{route}` |" in page for route in all_rights)
