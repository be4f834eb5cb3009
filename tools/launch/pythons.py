"""Another Python on this machine, by version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

QUESTION = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"


def find_python(version: str) -> Path | None:
    """The interpreter of `version` ("3.10"): the running one, one on PATH, in pyenv, or known to Windows' launcher."""
    for command in candidates(version):
        # pyenv's shims exist for versions that are not switched on, and Windows has stubs that open its shop: so ask.
        try:
            answer = subprocess.run([*command, "-c", QUESTION], capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            continue
        found = answer.stdout.splitlines()
        if answer.returncode == 0 and found[:1] == [version]:
            return Path(found[1])
    return None


def candidates(version: str) -> Iterator[list[str]]:
    """Commands that may start Python `version`, the likeliest first."""
    if version == "{}.{}".format(*sys.version_info):
        yield [sys.executable]
    if on_path := shutil.which(f"python{version}"):
        yield [on_path]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for python in sorted(pyenv.glob(f"versions/{version}.*/bin/python")):
        yield [str(python)]
    for python in sorted(pyenv.glob(f"pyenv-win/versions/{version}.*/python.exe")):
        yield [str(python)]
    if launcher := shutil.which("py"):
        yield [launcher, f"-{version}"]
