"""run.py on a fresh clone, after an accident, and when it cannot set up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.run.conftest import Project
from tools.launch.environment import MARK, STAMP, is_complete

FirstCall = tuple[Project, "subprocess.CompletedProcess[str]"]
posix_only = pytest.mark.skipif(os.name == "nt", reason="signals and links as POSIX has them")


def test_the_first_call_sets_up_and_runs_the_command(first_call: FirstCall) -> None:
    project, answer = first_call
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split("|")[0] == "hello 1.0"
    assert Path(answer.stdout.split("|")[1]) == project.environment.folder
    assert "setting up .venv" in answer.stderr and ".venv is ready" in answer.stderr


def test_arguments_with_spaces_reach_the_command_as_they_are(first_call: FirstCall) -> None:
    assert first_call[1].stdout.rstrip().split("|")[2:] == ["demo", "two words"]


def test_the_next_call_goes_on_at_once_from_any_folder(first_call: FirstCall, tmp_path: Path) -> None:
    project, _ = first_call
    answer = project.run("demo", cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith("hello 1.0|")


def test_the_command_s_exit_code_is_run_py_s(first_call: FirstCall) -> None:
    assert first_call[0].run("demo", "fail").returncode == 3


@posix_only
def test_ctrl_c_ends_with_130_and_no_traceback(first_call: FirstCall) -> None:
    process = first_call[0].start("demo", "wait")
    assert process.stdout and process.stdout.readline().startswith("hello")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")


def remove_package(project: Project) -> None:
    """What an interrupted uninstallation leaves."""
    for folder in project.environment.folder.rglob("greeting*"):
        shutil.rmtree(folder)


DAMAGES: dict[str, Callable[[Project], object]] = {
    "never finished": lambda project: (project.environment.folder / STAMP).unlink(),
    "stamp cut short": lambda project: (project.environment.folder / STAMP).write_bytes(b'{"lock": "'),
    "stamp of another shape": lambda project: (project.environment.folder / STAMP).write_bytes(b"[]"),
    "a package is gone": remove_package,
    "its Python is gone": lambda project: project.environment.python.unlink(),
    "it is gone": lambda project: shutil.rmtree(project.environment.folder),
    "the lock file has changed": lambda project: project.write_lock("2.0"),
}


@posix_only
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_half_made_environment_is_noticed(ready: Project, damage: str) -> None:
    assert is_complete(ready.environment)
    DAMAGES[damage](ready)
    assert not is_complete(ready.environment)


@posix_only
@pytest.mark.slow
def test_a_half_made_environment_is_repaired_by_the_next_call(ready: Project) -> None:
    remove_package(ready)
    answer = ready.run("demo")
    assert answer.stdout.startswith("hello 1.0|"), answer.stderr
    assert sorted(path.name for path in ready.folder.glob(".venv*")) == [".venv", ".venv.lock", ".venv.log"]


@posix_only
@pytest.mark.slow
def test_an_environment_is_not_made_anew_by_its_own_python(ready: Project) -> None:
    ready.write_lock("2.0")
    command = [str(ready.environment.python), "run.py", "demo"]
    answer = subprocess.run(command, cwd=ready.folder, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 1 and "call run.py with the Python outside of it" in answer.stderr
    assert "Traceback" not in answer.stderr and ready.environment.python.exists()


@posix_only
@pytest.mark.slow
def test_a_set_up_killed_half_way_is_repaired_by_the_next_call(project: Project) -> None:
    process = project.start("demo")
    while process.poll() is None and not project.environment.python.exists():
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert (project.environment.folder / MARK).exists() and not is_complete(project.environment)
    answer = project.run("demo")
    assert answer.stdout.startswith("hello 1.0|"), answer.stderr


@posix_only
@pytest.mark.slow
def test_somebody_else_s_environment_is_kept_aside(project: Project) -> None:
    precious = project.environment.folder / "notes.txt"
    precious.parent.mkdir()
    precious.write_text("mine")
    answer = project.run("demo")
    assert answer.returncode == 0, answer.stderr
    assert (project.folder / ".venv.set-aside-1" / "notes.txt").read_text() == "mine"
    assert "not made by run.py" in answer.stderr


@pytest.mark.slow
def test_a_lock_that_cannot_be_had_is_one_line_and_once_mended_all_is_well(project: Project) -> None:
    project.write_lock(name="no-such-package")
    answer = project.run("demo")
    assert answer.returncode == 1
    last_line = answer.stderr.splitlines()[-1]
    assert "there is no no-such-package==1.0 for this Python" in last_line and str(project.environment.log) in last_line
    assert "Traceback" not in answer.stderr
    project.write_lock()
    assert project.run("demo").returncode == 0


@pytest.mark.slow
def test_a_package_that_is_not_the_locked_one_is_refused(project: Project) -> None:
    project.write_lock(digest="0" * 64)
    answer = project.run("demo")
    assert answer.returncode == 1
    assert "not the one that the lock file names" in answer.stderr.splitlines()[-1]
    assert not is_complete(project.environment)


@pytest.mark.slow
def test_of_two_calls_at_once_one_sets_up_and_both_run(project: Project) -> None:
    calls = [project.start("demo"), project.start("demo")]
    answers = [call.communicate(timeout=300) for call in calls]
    assert all(stdout.startswith("hello 1.0|") for stdout, _ in answers), answers
    assert sum(".venv is ready" in stderr for _, stderr in answers) == 1
