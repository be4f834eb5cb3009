"""A studio as a process of its own, on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import ProxyHandler, build_opener

from tools.pages import ROOT

from .webui.place import free_port, last_lines

if TYPE_CHECKING:
    from typing_extensions import Self

PATIENCE_S = 120  # for a start, and for an answer: a guard against hanging, not a measure


class StudioProcess:
    """A studio with its data in `folder`, started with `flags`; for `with`, which ends it."""

    def __init__(self, folder: Path, *flags: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._output = folder / "studio.txt"
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "pseudoword", "studio", "--no-browser", "--port", str(port), *flags]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> float:
        """Start it; returns after how many seconds it answered."""
        began = time.monotonic()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(self._folder / "cache")}
        with open(self._output, "ab") as output:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=environment, stdout=output, stderr=output
            )
        while not self._answers():
            if not self.is_alive or time.monotonic() > began + PATIENCE_S:
                raise RuntimeError(f"the studio did not start:\n{last_lines(self._output)}")
            time.sleep(0.05)
        return time.monotonic() - began

    def kill(self) -> None:
        """kill -9, where it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(PATIENCE_S)

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def megabytes(self) -> float:
        """Memory of its process now (Linux)."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    @property
    def tracebacks(self) -> int:
        """How many errors nobody caught it has told of so far."""
        return self._output.read_text(encoding="utf-8", errors="replace").count("Traceback (most recent call last)")

    def _answers(self) -> bool:
        try:
            with build_opener(ProxyHandler({})).open(f"{self.address}/pseudoword/v1/health", timeout=PATIENCE_S):
                return True
        except OSError:
            return False
