"""What run.py says before it sets anything up, and what it makes of a failed installation."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pseudoword.cli.program import COMMANDS
from tests.run.conftest import ROOT, Project
from tools.launch.commands import HELP, NO_SUCH_PYTHON, OWN_COMMANDS, PSEUDOWORD_COMMANDS, take_pins
from tools.launch.environment import DISK_SPACE
from tools.launch.failure import SetupError
from tools.launch.pip_log import explain
from tools.launch.pythons import find_python


def test_help_needs_no_environment(project: Project) -> None:
    answer = project.run("help")
    assert answer.returncode == 0
    assert "demo" in answer.stdout and "--pins webui" in answer.stdout
    assert not project.environment.folder.exists()


def test_a_call_without_a_command_shows_the_help_and_is_a_mistake(project: Project) -> None:
    answer = project.run()
    assert (answer.returncode, answer.stdout[:6]) == (2, "usage:")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tran", "pictures"], "'tran' is no command; did you mean train?"),
        (
            ["zzz"],
            "'zzz' is no command; there are demo, studio, train, check, generate, convert, inspect, clip-skip, score, "
            "search, test, lint, bench, help",
        ),
        (["--json", "tran"], "did you mean train?"),
        (["--json"], "no command is given"),
        (["--frobnicate"], "'--frobnicate' is no command"),
    ],
)
def test_an_unknown_command_is_refused_before_anything_is_installed(
    project: Project, arguments: list[str], said: str
) -> None:
    answer = project.run(*arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert said in answer.stderr and len(answer.stderr.splitlines()) == 1
    assert sorted(path.name for path in project.folder.glob(".venv*")) == []


def test_run_py_knows_all_commands_and_its_help_names_them() -> None:
    assert tuple(COMMANDS) == PSEUDOWORD_COMMANDS
    for command in (*PSEUDOWORD_COMMANDS, *OWN_COMMANDS):
        assert f"\n  {command} " in HELP


def test_the_readme_names_the_disk_space_that_setting_up_takes() -> None:
    assert DISK_SPACE in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.8", "3.9"])
def test_an_old_python_is_turned_away_in_one_line(version: str) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    answer = subprocess.run([str(python), str(ROOT / "run.py"), "demo"], capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"run.py: this is Python {version} and Pseudoword needs Python 3.10")
    assert len(answer.stderr.splitlines()) == 1


def test_a_python_that_is_too_new_is_turned_away_before_anything_is_imported() -> None:
    program = f"import runpy, sys; sys.version_info = (3, 99, 0); runpy.run_path({str(ROOT / 'run.py')!r})"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr.startswith("run.py: this is Python 3.99")


def test_old_pythons_can_read_run_py() -> None:
    ast.parse((ROOT / "run.py").read_text(encoding="utf-8"), feature_version=(3, 4))


@pytest.mark.parametrize(
    ("arguments", "pins", "rest"),
    [
        ([], "standalone", []),
        (["tests/text", "-k", "a b"], "standalone", ["tests/text", "-k", "a b"]),
        (["--pins", "webui", "-x"], "webui", ["-x"]),
        (["-x", "--pins=webui"], "webui", ["-x"]),
    ],
)
def test_pins_are_taken_out_of_pytest_s_arguments(arguments: list[str], pins: str, rest: list[str]) -> None:
    assert take_pins(arguments) == (pins, rest)


@pytest.mark.parametrize("arguments", [["--pins", "forge"], ["--pins"], ["--pins="]])
def test_unknown_pins_are_refused_with_those_there_are(arguments: list[str]) -> None:
    with pytest.raises(SetupError, match="--pins webui"):
        take_pins(arguments)


@pytest.mark.skipif(sys.version_info[:2] == (3, 10), reason="this is Python 3.10")
def test_without_python_3_10_the_webui_s_tests_say_so_with_a_code_of_their_own(
    project: Project, tmp_path: Path
) -> None:
    answer = project.run("test", "--pins", "webui", PATH=str(tmp_path), PYENV_ROOT=str(tmp_path))
    assert answer.returncode == NO_SUCH_PYTHON
    assert "Python 3.10" in answer.stderr and len(answer.stderr.splitlines()) == 1


def test_another_python_is_found_by_what_it_says_of_itself() -> None:
    own = "{}.{}".format(*sys.version_info)
    found = find_python(own)
    assert found is not None
    assert subprocess.check_output([str(found), "--version"], text=True).startswith(f"Python {own}.")
    assert find_python("3.99") is None


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("ERROR: Could not install packages: [Errno 28] No space left on device\n", "the disk is full"),
        ("ConnectTimeoutError('timed out')\nERROR: No matching distribution found for torch==2.12.0\n", "index"),
        ("ERROR: No matching distribution found for torch==2.12.0\n", "there is no torch==2.12.0"),
        ("/usr/bin/python3: No module named ensurepip\n", "python3-venv"),
        ("[Errno 13] Permission denied: '/x'\n", "may not be written"),
        ("ERROR: a thing.\nERROR: another thing.\n", "another thing"),
        ("nothing of use", "ended with code 7"),
    ],
)
def test_a_failed_installation_is_explained_in_one_clause(log: str, words: str) -> None:
    sentence = explain(log, 7)
    assert words in sentence and "\n" not in sentence


def test_an_installer_that_was_killed_is_named_with_its_signal() -> None:
    assert "signal 9" in explain("", -9)
