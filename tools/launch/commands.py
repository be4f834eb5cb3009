"""Which command line of run.py does what."""

from __future__ import annotations

import difflib
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

from .environment import DISK_SPACE, Environment, child_settings, prepare, tell
from .failure import SetupError

ROOT = Path(__file__).resolve().parents[2]
STANDALONE = Environment(ROOT, ".venv", ROOT / "requirements" / "standalone.txt")
WEBUI = Environment(ROOT, ".venv-webui", ROOT / "requirements" / "webui.txt")
WEBUI_PYTHON = "3.10"
NO_SUCH_PYTHON = 69  # EX_UNAVAILABLE, which no test runner uses: .ci/run tells it from failed tests

PSEUDOWORD_COMMANDS = (
    "demo",
    "studio",
    "train",
    "check",
    "generate",
    "convert",
    "inspect",
    "clip-skip",
    "score",
    "search",
)
OWN_COMMANDS = ("test", "lint", "bench", "help")
GENERAL_FLAGS = ("--json", "--version", "--help")  # pseudoword's, which may stand before a command

HELP = """\
usage: python run.py COMMAND [ARGUMENTS]

  demo      teach the built-in model a new word and show the result in demo/
  studio    the same in the browser, for words of yours
  train     teach a model a new word from a few pictures of yours
  check     see which training pictures don't belong, are blurred or nearly the same
  generate  make pictures with a trained word
  convert   write an embedding in another file format
  inspect   see what embeddings are made of, and make words of others
  clip-skip compare the layers of the text encoder for a prompt
  score     see how well pictures fit texts, or their own prompts
  search    find pictures in folders by words, or by another picture
  test      run the tests; --pins webui runs them under the WebUI's exact packages (needs Python 3.10)
  lint      check style and types
  bench     measure speed and quality
  help      show this text

The first ten explain all their flags: python run.py train --help.
The first call sets up .venv beside run.py; a finished .venv is used whichever Python calls, until it is deleted.
"""


def main(arguments: list[str]) -> int:
    """Run the command that `arguments` name; returns its exit code. One line on standard error when it cannot run."""
    try:
        return run(arguments)
    except KeyboardInterrupt:
        return 130
    except UnknownCommand as error:
        tell(str(error))
        return 2
    except SetupError as error:
        tell(str(error))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            tell(f"the disk is full; free {DISK_SPACE} where {ROOT} is, then call again")
        else:
            tell(f"{error.strerror or error}: {error.filename or ROOT}; mend that, then call again")
    return 1


def run(arguments: list[str]) -> int:
    """Run the command that `arguments` name. Raises UnknownCommand, SetupError, OSError."""
    if not arguments or arguments[0] in ("help", "--help", "-h"):
        print(HELP, end="")
        return 0 if arguments else 2
    check_command(arguments)
    command, *rest = arguments
    if command == "test":
        return test(rest)
    prepare(STANDALONE, Path(sys.executable))
    if command == "lint":
        return lint()
    if command == "bench":
        return hand_over(STANDALONE, "benchmarks", *rest)
    return hand_over(STANDALONE, "pseudoword", *arguments)


class UnknownCommand(Exception):
    """A command that neither run.py nor pseudoword has; the message names those there are."""


def check_command(arguments: list[str]) -> None:
    """Raise UnknownCommand for a command line that would fail only after everything is set up."""
    command = next((argument for argument in arguments if argument not in GENERAL_FLAGS), None)
    known = PSEUDOWORD_COMMANDS if arguments[0] in GENERAL_FLAGS else (*PSEUDOWORD_COMMANDS, *OWN_COMMANDS)
    if command in known or (command is None and arguments != ["--json"]):
        return
    if command is None:
        raise UnknownCommand(f"no command is given; there are {', '.join(known)}")
    near = difflib.get_close_matches(command, known, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise UnknownCommand(f"{command!r} is no command; {remedy}")


def test(arguments: list[str]) -> int:
    """Run pytest with `arguments` at the project's root, in the environment that `--pins` names."""
    pins, arguments = take_pins(arguments)
    environment, python = STANDALONE, Path(sys.executable)
    if pins == "webui":
        from .pythons import find_python

        environment = WEBUI
        if not (found := find_python(WEBUI_PYTHON)):
            tell(
                f"the WebUI's packages need Python {WEBUI_PYTHON}, which was not found here; install it and call again"
            )
            return NO_SUCH_PYTHON
        python = found
    prepare(environment, python)
    os.chdir(ROOT)
    return hand_over(environment, "pytest", *arguments)


def take_pins(arguments: list[str]) -> tuple[str, list[str]]:
    """Take `--pins NAME` out of `arguments`; returns the name and the rest. Raises SetupError for an unknown name."""
    words = [
        word for argument in arguments for word in (argument.split("=", 1) if "--pins=" in argument else [argument])
    ]
    if "--pins" not in words:
        return "standalone", arguments
    place = words.index("--pins")
    name = words[place + 1] if place + 1 < len(words) else ""
    if name not in ("webui", "standalone"):
        raise SetupError(f"--pins {name}: unknown; use --pins webui, or --pins standalone, which is the default")
    return name, words[:place] + words[place + 2 :]


def lint() -> int:
    """Check style, layout and types; all three are run, so that all complaints are seen at once."""
    checks = (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"])
    codes = []
    for check in checks:
        print(f"run.py: {' '.join(check)}", flush=True)
        codes.append(subprocess.call([str(STANDALONE.python), "-m", *check], cwd=ROOT, env=child_settings()))
    return int(any(codes))


def hand_over(environment: Environment, module: str, *arguments: str) -> int:
    """Become `python -m module arguments` inside `environment`; where a process cannot, start one and wait for it."""
    command = [str(environment.python), str(Path(__file__).with_name("inside.py")), module, *arguments]
    if os.name != "nt":
        # The same process: whoever stops or kills run.py stops the work, too.
        os.execve(command[0], command, child_settings())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; this one waits for the other's answer
    return subprocess.call(command, env=child_settings())
