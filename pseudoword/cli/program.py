"""From a command line to an exit code: which command runs, and how its failures are shown."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import shlex
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pseudoword

from ..errors import PseudowordError
from .console import Console, JsonConsole, TerminalConsole
from .interruption import Stopped

OK, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

COMMANDS = {
    "demo": "teach the built-in model a new word and look at it; needs nothing, takes minutes",
    "studio": "the same in the browser: teach words, watch, and make pictures with them",
    "train": "teach a model a new word from a few pictures",
    "check": "see which pictures of a training set are doubtful, before it is learned from",
    "generate": "make pictures with a trained word",
    "convert": "write an embedding in another file format",
    "inspect": "see what embeddings are made of, and make words of others",
    "clip-skip": "compare the layers of the text encoder for a prompt",
    "score": "see how well pictures fit texts, or their own prompts",
    "search": "find pictures by what they show, or by another picture",
}

DESCRIPTION = "Teach a Stable Diffusion model a new word from a few pictures, and make pictures with it."

EPILOG = """\
first steps:
  {prog} demo                                    see all of it on the built-in model
  {prog} studio                                  teach your own words in the browser
  {prog} train my-pictures --name my-cat --model model.safetensors --start cat
  {prog} generate "a photo of my-cat" --model model.safetensors
  {prog} convert runs/my-cat/my-cat.safetensors --to pt

{prog} COMMAND --help explains a command and all its flags.

exit codes:
  0    done
  1    it could not be done; one sentence on standard error says why, and what to do
  2    the command line is wrong
  130  interrupted with Ctrl-C; a training is saved, and the same command goes on

for programs:
  With --json standard output is one JSON object a line: {{"event": …}} while it works, {{"result": …}} as the last
  line, or {{"error": …}} and an exit code above 0. Errors come on standard output then, too.
"""


class UsageError(Exception):
    """A command line that cannot be understood; the message names the flag."""


class _Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would print and exit, since a program may be waiting for JSON."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; {self.prog} --help explains the command line.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (those of this process by default) and return the exit code, 0 for success."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _prepare_streams()
    console: Console = JsonConsole(sys.stdout) if "--json" in given else TerminalConsole(sys.stdout, sys.stderr)
    try:
        return _run(given, console)
    except (UsageError, PseudowordError, Stopped, KeyboardInterrupt) as problem:
        console.fail(str(problem) or "Interrupted.")
        return _exit_code(problem)
    except BrokenPipeError:
        # Whoever read our output is gone. What Python still has to write at its end must not fail again.
        with contextlib.suppress(OSError, io.UnsupportedOperation):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as problem:
        console.fail(_report_defect(problem))
        return FAILED


def _run(given: Sequence[str], console: Console) -> int:
    prog = how_called()
    named = next((argument for argument in given if argument in COMMANDS), None)
    parser, command = _parser(prog, named)
    try:
        parsed = parser.parse_args(given)
    except SystemExit as end:  # after --help and --version
        return OK if end.code is None else int(end.code)
    if command is None or parsed.command is None:
        if parsed.json:
            raise UsageError(f"no command is given; choose one of {', '.join(COMMANDS)}.")
        parser.print_help()
        return WRONG_USAGE
    parsed.as_command = as_command
    parsed.given = given
    return int(command.run(parsed, console) or OK)


def _parser(prog: str, named: str | None) -> tuple[argparse.ArgumentParser, ModuleType | None]:
    """The parser, with the flags of the command that is named, and that command's module.

    Only this one is imported: torch takes seconds, and `--help` should not.
    """
    layout = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog=prog,
        description=DESCRIPTION,
        epilog=EPILOG.format(prog=prog),
        formatter_class=layout,
        allow_abbrev=False,  # `--j` would be understood as `--json` too late
    )
    parser.add_argument("--version", action="version", version=f"pseudoword {pseudoword.__version__}")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output, for programs")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    module = None
    for name, purpose in COMMANDS.items():
        of_command = commands.add_parser(name, help=purpose, formatter_class=layout, allow_abbrev=False)
        if name == named:
            module = importlib.import_module(f"{__package__}.{name.replace('-', '_')}")
            of_command.description = module.DESCRIPTION
            of_command.epilog = module.EPILOG.format(prog=prog)
            module.add_flags(of_command)
            of_command.add_argument(
                "--json", action="store_true", default=argparse.SUPPRESS, help="JSON lines on standard output"
            )
    return parser, module


def how_called() -> str:
    """What a person types in front of a command: "pseudoword" where it is installed, else run.py or the module."""
    if Path(sys.argv[0]).stem.lower() == "pseudoword":
        return "pseudoword"
    return "python run.py" if Path(__file__).parents[2].joinpath("run.py").is_file() else "python -m pseudoword"


def as_command(arguments: Sequence[str]) -> str:
    """A command line that a person can type: `arguments`, quoted where this system's shell needs it."""
    quoted = subprocess.list2cmdline(arguments) if os.name == "nt" else shlex.join(arguments)
    return f"{how_called()} {quoted}"


def _prepare_streams() -> None:
    """Make it safe to write any text to standard output and error, wherever they lead.

    Consoles that know few letters, such as Windows', show a question mark instead of raising an error. Where a stream
    is closed, or there never was one as for a window of Windows, what is written is lost.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _exit_code(problem: BaseException) -> int:
    if isinstance(problem, (Stopped, KeyboardInterrupt)):
        return INTERRUPTED
    return WRONG_USAGE if isinstance(problem, UsageError) else FAILED


def _report_defect(problem: Exception) -> str:
    """Write the traceback of an error that is ours to a file of its own, and say so in one sentence."""
    text = "".join(traceback.format_exception(type(problem), problem, problem.__traceback__))
    said = f"This should not have happened ({type(problem).__name__}: {problem})".replace("\n", " ")
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="pseudoword-error-", suffix=".log", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"pseudoword {pseudoword.__version__}, Python {sys.version}, {sys.platform}\n{text}")
    except OSError:
        return f"{said}; no log could be written. Please report it."
    return f"{said}; please report it with the file {file.name}."
