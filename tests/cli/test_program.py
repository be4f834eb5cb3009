"""What all commands share: help, exit codes, JSON, and what happens when something breaks."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import pseudoword
from pseudoword.cli import main
from pseudoword.cli import program as cli_program
from pseudoword.cli.console import TerminalConsole, time_text
from pseudoword.cli.peak_memory import peak_memory_mb
from pseudoword.training.events import Preparing, StepDone, Validated
from pseudoword.training.settings import describe_settings
from tests.cli.small_world import World

ROOT = Path(__file__).parents[2]


def test_the_help_shows_first_steps_and_exit_codes(world: World) -> None:
    answer = world.run("--help")
    assert (answer.code, answer.err) == (0, "")
    for said in ("demo", "train", "generate", "convert", "first steps", "130", "--json"):
        assert said in answer.out
    assert world.run().code == 2


@pytest.mark.parametrize("command", cli_program.COMMANDS)
def test_every_command_explains_itself_with_examples(world: World, command: str) -> None:
    answer = world.run(command, "--help")
    assert answer.code == 0
    assert "examples:" in answer.out
    assert "{prog}" not in answer.out


def test_every_setting_is_a_flag_with_its_meaning(world: World) -> None:
    said = " ".join(world.run("train", "--help").out.split())
    for description in describe_settings():
        assert f"--{description.name.replace('_', '-')}" in said
        assert " ".join(description.allowed.meaning.split()[:4]) in said
    assert "from 1 to 75) [default: 1]" in said
    assert "steps from 0) [default: 0]" in said


def test_the_help_and_a_wrong_command_do_not_load_torch() -> None:
    code = "import sys; from pseudoword.cli import main; main(['--help']); main(['tran'])"
    code += "; sys.exit('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "invalid choice: 'tran'" in answer.stderr


def failing_with(problem: BaseException) -> ModuleType:
    """A command that ends with `problem`."""
    module = ModuleType("failing")

    def run(*_: object) -> None:
        raise problem

    module.__dict__.update(DESCRIPTION="", EPILOG="", add_flags=lambda parser: None, run=run)
    return module


def test_a_defect_of_ours_is_one_line_and_the_traceback_is_in_a_file(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pseudoword.cli.convert", failing_with(ZeroDivisionError("what\nnow")))
    answer = world.run("convert")
    assert answer.code == 1
    assert answer.err.count("\n") == 1 and "Traceback" not in answer.err
    assert "ZeroDivisionError: what now" in answer.err
    (log,) = tmp_path.glob("pseudoword-error-*.log")
    assert str(log) in answer.err
    assert "Traceback" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize(("problem", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 1)])
def test_interruptions_and_closed_pipes_end_quietly(
    world: World, monkeypatch: pytest.MonkeyPatch, problem: BaseException, code: int
) -> None:
    monkeypatch.setitem(sys.modules, "pseudoword.cli.convert", failing_with(problem))
    answer = world.run("convert")
    assert answer.code == code
    assert "Traceback" not in answer.err


def test_letters_that_a_console_does_not_know_do_no_harm(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "pseudoword", "convert", "кошка.pt", "--to", "pt"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        cwd=tmp_path,
        capture_output=True,
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith(b"pseudoword: ?????.pt cannot be read")


@pytest.mark.skipif(os.name == "nt", reason="streams are closed with a shell of Unix")
def test_closed_streams_do_no_harm() -> None:
    command = shlex.join([sys.executable, "-m", "pseudoword", "--version"])
    answer = subprocess.run(["sh", "-c", f"{command} <&- >&- 2>&-"], cwd=ROOT)
    assert answer.returncode == 0


class Screen:
    """A terminal, as far as one can be written to."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def shown(self) -> list[str]:
        """The lines that a person sees: what follows a carriage return is written over what was there."""
        lines = []
        for line in self.text.split("\n"):
            shown = ""
            for part in line.split("\r"):
                shown = part + shown[len(part) :]
            lines.append(shown.rstrip())
        return lines


def test_a_terminal_shows_a_bar_with_loss_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    screen = Screen()
    console = TerminalConsole(screen, screen)  # type: ignore[arg-type]
    console.event(Validated(0, 0.5, 0, 0.5, 0))
    console.event(StepDone(50, 100, 0.1234, 0.005, 0.1, 75))
    assert screen.shown()[-1] == (
        "[############------------] 50/100  1:15 left  loss 0.1234  rate 5.0e-03  best 0.5000 at 0"
    )
    console.warn("careful")
    console.result({}, "done")
    assert screen.shown() == ["warning: careful", "done", ""]


def test_a_terminal_shows_how_far_the_preparation_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    screen = Screen()
    console = TerminalConsole(screen, screen)  # type: ignore[arg-type]
    console.event(Preparing(0, 3, 4))
    assert screen.shown() == ["[##################------] 3/4 pictures encoded"]
    console.event(Preparing(0, 4, 4))
    assert screen.shown()[-1].endswith("4/4 pictures encoded; getting ready")
    console.event(StepDone(1, 100, 0.1234, 0.005, 0.1, 75))
    assert screen.shown()[-1].endswith("1/100  1:15 left  loss 0.1234  rate 5.0e-03")


@pytest.mark.parametrize("columns", [10, 40, 80, 200])
def test_the_bar_never_wraps_and_tells_all_where_there_is_room(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = Screen()
    console = TerminalConsole(screen, screen)  # type: ignore[arg-type]
    console.event(Validated(900, 0.5, 850, 0.4321, 0))
    console.event(StepDone(999, 1000, 0.1234, 0.005, 0.1, 4000))
    (line,) = screen.shown()
    assert len(line) < max(columns, 21)
    assert line.endswith("best 0.4321 at 850") or columns < 80


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")])
def test_times_are_told_in_minutes_and_hours(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_the_peak_of_memory_is_known() -> None:
    peak = peak_memory_mb()
    assert peak is not None and 20 < peak < 1_000_000


def test_main_takes_the_arguments_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pseudoword", "--version"])
    assert main() == 0
    assert capsys.readouterr().out == f"pseudoword {pseudoword.__version__}\n"


def test_a_program_that_gives_no_command_gets_json_too(world: World) -> None:
    answer = world.run("--json")
    assert (answer.code, answer.err) == (2, "")
    assert answer.lines[0]["error"].startswith("no command is given; choose one of demo, studio, train, ")
