"""Where folders are limited, nothing outside of them is read, however it is called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pseudoword.errors import SettingsError
from pseudoword.jobs.server.folders import check_readable, folder_below
from pseudoword.jobs.training.trainings import Trainings
from tests.jobs.small_host import small_host
from tests.training.small_runs import draw_pictures, settings


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    draw_pictures(tmp_path / "secret")
    return draw_pictures(tmp_path / "allowed" / "cat").parent


@pytest.mark.parametrize("path", ["", "cat", "cat/../cat", "not there"])
def test_what_lies_inside_is_readable(allowed: Path, path: str) -> None:
    check_readable(allowed / path, [allowed])


@pytest.mark.parametrize("path", ["..", "../secret", "../secret/0.png", "../allowed-not", "/etc", "a\0b", "../gone"])
def test_what_lies_outside_is_not(allowed: Path, path: str) -> None:
    with pytest.raises(SettingsError, match="outside of the folders"):
        check_readable(allowed / path, [allowed])


def test_a_home_is_where_it_is(allowed: Path) -> None:
    for path in ("~", "~nobody-has-this-name/x"):
        with pytest.raises(SettingsError, match="outside of the folders"):
            check_readable(Path(path), [allowed])


def test_a_link_is_where_it_leads(allowed: Path) -> None:
    (allowed / "link").symlink_to(allowed.parent / "secret")
    (allowed / "round").symlink_to(allowed / "round")
    for name in ("link", "link/0.png"):
        with pytest.raises(SettingsError, match="outside of the folders"):
            check_readable(allowed / name, [allowed])


@pytest.mark.parametrize(
    "changes",
    [
        {"start": "file:/etc/passwd"},
        {"start": "file:../../x.pt"},
        {"templates": "/etc/passwd"},
        {"templates": "/etc/there is no such file"},
    ],
)
def test_no_setting_names_a_file_outside(allowed: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    trainings = Trainings(replace(small_host(tmp_path / "runs"), folders=[allowed]))
    with pytest.raises(SettingsError, match="outside of the folders"):
        trainings.start(settings(**changes), [allowed / "cat"], uploaded=False)
    assert trainings.latest is None and not (tmp_path / "runs").exists()


def test_pictures_are_read_inside_only_and_uploads_from_anywhere(allowed: Path, tmp_path: Path) -> None:
    trainings = Trainings(replace(small_host(tmp_path / "runs"), folders=[allowed]))
    secret = tmp_path / "secret"
    with pytest.raises(SettingsError, match="outside of the folders"):
        trainings.start(settings(), [secret], uploaded=False)
    for name, given, uploaded in (("zxqv-one", [allowed / "cat"], False), ("zxqv-two", sorted(secret.iterdir()), True)):
        job = trainings.start(settings(name=name), given, uploaded=uploaded)
        job.wait(60)
        assert job.watch().state == "finished"


def test_templates_that_the_host_offers_may_lie_elsewhere(allowed: Path, tmp_path: Path) -> None:
    offered = tmp_path / "subject.txt"
    offered.write_text("a photo of a [name]\n")
    host = replace(small_host(tmp_path / "runs"), folders=[allowed], templates=lambda: {"subject.txt": offered})
    job = Trainings(host).start(settings(templates=str(offered)), [allowed / "cat"], uploaded=False)
    job.wait(60)
    assert job.watch().state == "finished"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("", ""), (" mine ", "mine"), ("a/b", "a/b"), ("..", ""), ("../secret", ""), ("/etc", ""), ("a/../../x", "")],
)
def test_a_folder_below_another_never_leads_out(tmp_path: Path, name: str, meant: str) -> None:
    assert folder_below(tmp_path, name) == tmp_path / meant
