"""The studio as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.training.small_runs import draw_pictures

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120


@dataclass
class Studio:
    """`address` of the page, `folder` it was started in, `pictures` to train on; its library is `folder`/embeddings."""

    address: str
    folder: Path
    pictures: Path
    process: subprocess.Popen[str]

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; returns the exit code and what it said since it was ready."""
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said


@contextmanager
def started(model: Path, folder: Path, *flags: str) -> Iterator[Studio]:
    """A studio on `model` in `folder`, where one may have been before; ended, however it goes, at the end."""
    (folder / "embeddings").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pseudoword", "studio", "--no-browser", "--model", str(model)]
    command += ["--embeddings", "embeddings", *flags]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    pictures = folder / "pictures"
    try:
        address = address_in(process)
        yield Studio(address, folder, pictures if pictures.exists() else draw_pictures(pictures), process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def address_in(process: subprocess.Popen[str]) -> str:
    """The address that the studio tells, once it answers there."""
    assert process.stdout is not None
    ends = time.monotonic() + PATIENCE_S
    said = ""
    while time.monotonic() < ends:
        line = process.stdout.readline()
        said += line
        if found := re.search(r"http://[\d.]+:\d+", line):
            return found[0]
        assert line or process.poll() is None, f"the studio ended: {said}"
    raise AssertionError(f"the studio never said where it is: {said}")
