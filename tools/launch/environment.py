"""A virtual environment that holds exactly the packages of one lock file.

It is made in place, marked as ours from its first moment, and stamped as the very last step. Whatever has our mark and
no true stamp is half-made and is made anew; whatever has neither is somebody else's and is set aside, never deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from .failure import SetupError

MARK = "made-by-run.py"
STAMP = "complete.json"
WINDOWS = os.name == "nt"
# Measured on Linux with its GPU libraries: 5.6 GB of packages, and 2.9 GB of downloads that pip keeps. Less elsewhere.
DISK_SPACE = "about 9 GB"
# Settings of pip and Python that would lead an installation, or an import, out of the environment.
LEADING_ASTRAY = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__")


class Environment(NamedTuple):
    """A virtual environment called `name` in the project's folder `root`, and the lock file that says what it holds."""

    root: Path
    name: str
    lock: Path

    @property
    def folder(self) -> Path:
        """Where it is; a link leads to its target, so that a large environment may live on another disk."""
        return (self.root / self.name).resolve()

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if WINDOWS else "bin/python")

    @property
    def log(self) -> Path:
        """What the installer said the last time."""
        return self.root / f"{self.name}.log"


def child_settings() -> dict[str, str]:
    """The environment variables for programs that run inside an environment."""
    kept = {name: value for name, value in os.environ.items() if name not in LEADING_ASTRAY}
    return {**kept, "PYTHONNOUSERSITE": "1", "PIP_USER": "0"}


def prepare(environment: Environment, base_python: Path) -> None:
    """Make `environment` with `base_python`, unless it is complete already. Raises SetupError, OSError."""
    if is_complete(environment):
        return
    with only_one_at_a_time(environment):
        if not is_complete(environment):
            make(environment, base_python)


def is_complete(environment: Environment) -> bool:
    """Whether `environment` was finished from the lock file as it is now, and still has all it had then."""
    try:
        stamp = json.loads((environment.folder / STAMP).read_bytes())
        return (
            stamp["lock"] == digest(environment.lock)
            and stamp["interpreter"] == interpreter(environment)
            and os.access(environment.python, os.X_OK)
            and set(stamp["packages"]) <= set(installed(environment))
        )
    except (OSError, ValueError, LookupError, TypeError):
        return False


def make(environment: Environment, base_python: Path) -> None:
    """Make `environment` from nothing, and stamp it when all went well."""
    if base_python.absolute().is_relative_to(environment.folder):
        raise SetupError(
            f"{environment.name} has to be made anew and cannot be by its own Python, {base_python}; "
            "call run.py with the Python outside of it"
        )
    started = time.monotonic()
    lock_digest = digest(environment.lock)
    clear_away(environment)
    environment.folder.mkdir(parents=True)
    (environment.folder / MARK).touch()
    tell(f"setting up {environment.name}, once; on Linux it takes {DISK_SPACE} of disk and some minutes")
    with open(environment.log, "w", encoding="utf-8") as log:
        # In two steps, because venv hides what ensurepip says when it fails.
        install(environment, [str(base_python), "-m", "venv", "--without-pip", str(environment.folder)], log)
        install(environment, [str(environment.python), "-m", "ensurepip", "--default-pip"], log)
        pip = [str(environment.python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        exactly = ["--require-hashes", "--no-deps", "--only-binary=:all:", "-r", str(environment.lock)]
        install(environment, [*pip, *exactly], log)
    stamp = {"lock": lock_digest, "interpreter": interpreter(environment), "packages": installed(environment)}
    write_whole(environment.folder / STAMP, json.dumps(stamp))
    tell(f"{environment.name} is ready after {time.monotonic() - started:.0f} s")


def install(environment: Environment, command: list[str], log: IO[str]) -> None:
    """Run one step of the installation, its words into `log`, its progress on a terminal."""
    process = subprocess.Popen(
        command,
        env={**child_settings(), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        # If this process is killed, its installer goes on alone: it keeps the lock until it has ended.
        close_fds=WINDOWS,
    )
    collected = 0
    try:
        for line in process.stdout or ():
            log.write(line)
            if line.startswith("Collecting "):
                collected += 1
                progress(f"{collected} packages found, now {line.split()[1]}")
            elif line.startswith("Installing collected packages"):
                progress(f"unpacking {collected} packages")
        exit_code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        progress("")
    if exit_code != 0:
        from .pip_log import explain

        log.flush()
        cause = explain(environment.log.read_text(encoding="utf-8"), exit_code)
        raise SetupError(f"{environment.name} could not be set up: {cause}; then call again (log: {environment.log})")


def clear_away(environment: Environment) -> None:
    """Delete what is left of a half-made or outdated environment; set aside one that run.py did not make."""
    import shutil

    folder = environment.folder
    # Renamed before it is deleted: a deletion that is cut short must not leave a folder without our mark.
    doomed = folder.with_name(f"{environment.name}.deleting")
    if (folder / MARK).exists():
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
    elif folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    elif folder.exists():
        count = 1
        while (aside := folder.with_name(f"{environment.name}.set-aside-{count}")).exists():
            count += 1
        folder.rename(aside)
        tell(f"{environment.name} was not made by run.py; it is kept as {aside}")
    shutil.rmtree(doomed, ignore_errors=True)


@contextlib.contextmanager
def only_one_at_a_time(environment: Environment) -> Iterator[None]:
    """Hold the environment's lock; the system takes it back when the process ends in whichever way."""
    path = environment.root / f"{environment.name}.lock"
    with open(path, "a+b") as file:
        if not try_lock(file):
            tell(f"waiting for another run.py that sets up {environment.name}")
            while not try_lock(file):
                time.sleep(0.2)
        if not WINDOWS:
            os.set_inheritable(file.fileno(), True)
        yield


def try_lock(file: IO[bytes]) -> bool:
    """Take an exclusive lock on `file` if nobody holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def digest(lock: Path) -> str:
    """SHA-256 of a lock file's text; line ends do not count, since git may change them on Windows."""
    return hashlib.sha256(lock.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def interpreter(environment: Environment) -> str:
    """The Python behind the environment: after a system's upgrade the same link may lead to a newer one."""
    return (environment.folder / "pyvenv.cfg").read_text(encoding="utf-8") + os.path.realpath(environment.python)


def installed(environment: Environment) -> list[str]:
    """What lies in the environment's site-packages, sorted by name, without what may change there at any time."""
    pattern = "Lib/site-packages" if WINDOWS else "lib/python3*/site-packages"
    entries = (entry for folder in environment.folder.glob(pattern) for entry in os.listdir(folder))
    return sorted(entry for entry in entries if entry != "__pycache__" and not entry.startswith("pip"))


def write_whole(path: Path, text: str) -> None:
    """Write `text` so that the file is either whole or not there."""
    unfinished = path.with_suffix(".unfinished")
    with open(unfinished, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def tell(sentence: str) -> None:
    """Say something to the person; standard output belongs to the command."""
    print(f"run.py: {sentence}", file=sys.stderr, flush=True)


def progress(words: str) -> None:
    """Show `words` in place of the last ones, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{words[:76]}", end="", file=sys.stderr, flush=True)
