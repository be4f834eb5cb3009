"""A WebUI 1.10.1 that is there already, with its data in a folder of ours: nothing is written into its own."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

ADDRESS_OF_WEBUI, ADDRESS_OF_PYTHON = "PSEUDOWORD_WEBUI_DIR", "PSEUDOWORD_WEBUI_PYTHON"
ROOT = Path(__file__).parents[2]
BUILTIN = ROOT / "pseudoword" / "builtin"
EXTENSION = ("install.py", "preload.py", "style.css", "scripts", "javascript", "pseudoword")
CHECKPOINT = ("pseudoword-mini.safetensors", "pseudoword-mini.yaml", "pseudoword-mini")
ON_A_CPU = ("--skip-torch-cuda-test", "--use-cpu", "all", "--no-half")
AS_IT_IS = ("--skip-prepare-environment", "--do-not-download-clip", "--skip-version-check")
ONE_THREAD = "1"
PATIENCE_S = 600  # a guard against hanging, not a measure


class NotNamed(Exception):
    """There is no WebUI to measure against; says what to set."""


@dataclass(frozen=True)
class Webui:
    """The folder of the WebUI, and the Python of its environment."""

    folder: Path
    python: Path

    @classmethod
    def named(cls) -> Webui:
        """The one that the environment names. Raises NotNamed."""
        missing = [name for name in (ADDRESS_OF_WEBUI, ADDRESS_OF_PYTHON) if not os.environ.get(name)]
        if missing:
            raise NotNamed(
                f"not measured; set {ADDRESS_OF_WEBUI} to the folder of AUTOMATIC1111's WebUI 1.10.1 and "
                f"{ADDRESS_OF_PYTHON} to the Python of its environment ({' and '.join(missing)} missing)."
            )
        # The Python's path stays as it is: resolved, the link in an environment would be the Python outside of it.
        return cls(Path(os.environ[ADDRESS_OF_WEBUI]).resolve(), Path(os.environ[ADDRESS_OF_PYTHON]).absolute())

    def furnished(self, data: Path, with_extension: bool = True) -> Path:
        """`data` with what a WebUI needs to start from there: a checkpoint, empty folders, and maybe the extension."""
        models = data / "models" / "Stable-diffusion"
        models.mkdir(parents=True)
        for name in CHECKPOINT:
            copy(BUILTIN / name, models / name)
        (data / "embeddings").mkdir()
        (data / "extensions").mkdir()
        if with_extension:
            extension = data / "extensions" / "pseudoword"
            extension.mkdir()
            for name in EXTENSION:
                copy(ROOT / name, extension / name)
            # As after any start but the first: compiled. The WebUI itself must not write beside its own programs.
            subprocess.run([str(self.python), "-m", "compileall", "-q", str(extension)], check=True)
        return data

    def command(self, data: Path, *program: str | Path) -> list[str]:
        """The command line of `program`, what Python gets to run, with the WebUI's flags for this machine."""
        return [str(self.python), *map(str, program), "--data-dir", str(data), *AS_IT_IS, *ON_A_CPU]

    def environment(self, data: Path) -> dict[str, str]:
        """The variables for any of its programs, one thread on the CPU unless the caller's say otherwise."""
        return {"OMP_NUM_THREADS": ONE_THREAD} | quiet_environment(data) | {ADDRESS_OF_WEBUI: str(self.folder)}

    def run(self, data: Path, program: Path, job: dict[str, Any]) -> Any:
        """What `program`, which gets `job` as a file, leaves in its result file; it runs in the WebUI's process."""
        asked, answered = data / "job.json", data / "result.json"
        asked.write_text(json.dumps({**job, "root": str(ROOT), "result": str(answered)}), encoding="utf-8")
        answered.unlink(missing_ok=True)
        with open(data / "output.txt", "ab") as output:
            done = subprocess.run(
                self.command(data, program, asked),
                cwd=data,
                env=self.environment(data),
                stdout=output,
                stderr=output,
                check=False,
            )
        if not answered.exists():
            raise RuntimeError(f"{program.name} ended with {done.returncode}:\n{last_lines(data / 'output.txt')}")
        return json.loads(answered.read_text(encoding="utf-8"))


class Server:
    """A running WebUI with its data in `data`; for `with`, which starts and ends it.

    `before` is a program that is put before `launch.py`, with its arguments; `python` are flags of Python's own.
    """

    def __init__(self, webui: Webui, data: Path, *before: str | Path, python: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.seconds = 0.0  # from its start until it was up
        self._output = data / "server.txt"
        self._data = data
        self._environment = webui.environment(data)
        program = (*python, *before, webui.folder / "launch.py")
        self._command = [*webui.command(data, *program), "--port", str(self.port), "--api"]

    def __enter__(self) -> Server:
        began = time.monotonic()
        with open(self._output, "wb") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._data,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._wait_until_told("Startup time", began)
            self.seconds = time.monotonic() - began
            self._wait_until_told("Model loaded in", began)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def cpu_seconds(self) -> float:
        """What it has computed for so far, on all cores, as Linux counts it."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def output(self) -> str:
        """What it has said so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def _wait_until_told(self, text: str, began: float) -> None:
        while text not in self.output:
            if self._process.poll() is not None or time.monotonic() > began + PATIENCE_S:
                raise RuntimeError(f"the WebUI never said {text!r}:\n{last_lines(self._output)}")
            time.sleep(0.01)

    def ask(self, path: str, body: Any = None) -> Any:
        """The JSON that GET `path` gives, or POST with `body` as JSON. Raises OSError for a refusal."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"})
        with build_opener(ProxyHandler({})).open(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)


def quiet_environment(data: Path) -> dict[str, str]:
    """Variables to start the WebUI with: nothing of ours, and nothing written beside its own program."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COMMANDLINE_ARGS")}
    return kept | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "GRADIO_TEMP_DIR": str(data / "gradio"),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder without what Python compiled in it."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def last_lines(path: Path, count: int = 30) -> str:
    """The end of a text file."""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def circumstances() -> dict[str, str]:
    """The machine, and how busy it is with everything, ours included; to be told with every time."""
    threads = os.environ.get("OMP_NUM_THREADS", ONE_THREAD)
    return {
        "machine": f"{platform.machine()}, {threads} of {os.cpu_count()} CPU threads",
        "load average": " ".join(f"{average:.2f}" for average in os.getloadavg()),
    }
