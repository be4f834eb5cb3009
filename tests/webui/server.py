"""A WebUI as a process of its own, with its data in a temporary folder, and what a program asks of it over HTTP."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from benchmarks.webui.place import (
    ADDRESS_OF_PYTHON,
    ADDRESS_OF_WEBUI,
    AS_IT_IS,
    BUILTIN,
    EXTENSION,
    ON_A_CPU,
    ROOT,
    copy,
    free_port,
    quiet_environment,
)

PICTURES = BUILTIN / "samples" / "penguin"
CHECKPOINT, OTHER_CHECKPOINT = "pseudoword-mini", "other-mini"
WORD_OF_BEFORE = "blicket"
NO_MODEL = "--skip-load-model-at-start"
PATIENCE_S = 300  # the machine may be busy with other things
SMALL_PICTURES = {"txt2img/Width/value": 64, "txt2img/Height/value": 64, "txt2img/Sampling steps/value": 8}

ENDLESS = {
    "start": "penguin bird",
    "steps": 100_000,
    "early_stop": False,
    "validate_every": 10,
    "preview_every": 0,
    "save_every": 10,
    "hold": 0,
}
SHORT = {**ENDLESS, "steps": 30}


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def detail(self) -> str:
        """Why it was refused."""
        said: str = self.json["detail"]
        return said


class Webui:
    """A server with its data in `folder`, started with `flags`; `port` is its own on this machine."""

    def __init__(self, folder: Path, flags: tuple[str, ...]) -> None:
        self.folder = folder
        self.flags = flags
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._output = folder / "output.txt"
        self._told_before = 0
        self._process: subprocess.Popen[bytes] | None = None

    # ---- the process ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, and wait until it answers and its checkpoint is loaded, where it is to load one."""
        self._told_before = self._output.stat().st_size if self._output.exists() else 0
        program = Path(os.environ[ADDRESS_OF_WEBUI])
        command = [os.environ[ADDRESS_OF_PYTHON], str(program / "launch.py"), "--data-dir", str(self.folder)]
        command += ["--gradio-allowed-path", str(program)]  # its own scripts, which it has in the usual working folder
        command += [*AS_IT_IS, *ON_A_CPU, "--port", str(self.port), *self.flags]
        with open(self._output, "ab") as output:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=quiet_environment(self.folder), stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self.wait_until_told("Startup time", *([] if NO_MODEL in self.flags else ["Model loaded in"]))

    def kill(self) -> None:
        """End it and what it started, without a chance to save anything."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def output(self) -> str:
        """What it said since its latest start."""
        return self._output.read_bytes()[self._told_before :].decode(errors="replace")

    def wait_until_told(self, *texts: str) -> None:
        """Wait until all of `texts` stand in its output."""
        assert self._process is not None
        ends = time.monotonic() + PATIENCE_S
        while not all(text in self.output for text in texts):
            assert self._process.poll() is None, f"the WebUI ended:\n{self.output}"
            assert time.monotonic() < ends, f"the WebUI never said {texts}:\n{self.output}"
            time.sleep(0.2)

    # ---- what programs ask ----------------------------------------------------------------------------------------

    def ask(self, path: str, body: Any = None, login: str = "", method: str | None = None, **headers: str) -> Answer:
        """GET `path`, or POST `body` to it, as JSON unless it is bytes; `login` is USER:PASSWORD."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        if login:
            sent["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        request = Request(self.address + path, data, sent, method=method)
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=PATIENCE_S) as answer:
                return Answer(answer.status, answer.read(), dict(answer.headers))
        except HTTPError as problem:
            with problem:
                return Answer(problem.code, problem.read(), dict(problem.headers))

    def teach(self, name: str, settings: Mapping[str, Any], folder: Path = PICTURES, login: str = "") -> Answer:
        """Ask for a training on the pictures in `folder`."""
        asked = {"settings": {"name": name, **settings}, "folder": str(folder)}
        return self.ask("/pseudoword/v1/trainings", asked, login)

    def begin(self, name: str, settings: Mapping[str, Any] = ENDLESS, folder: Path = PICTURES) -> None:
        """Start a training, and wait for its first steps."""
        answer = self.teach(name, settings, folder)
        assert answer.status == 201, answer
        self.wait_for_step(name, 2)

    def order(self, name: str, order: str) -> dict[str, Any]:
        """Pause, resume, stop or cancel the training called `name`; returns how it stands then."""
        answer = self.ask(f"/pseudoword/v1/trainings/{name}/{order}", {})
        assert answer.status == 200, answer
        seen: dict[str, Any] = answer.json
        return seen

    def training(self, name: str) -> dict[str, Any]:
        """How the training called `name` stands."""
        seen: dict[str, Any] = self.ask(f"/pseudoword/v1/trainings/{name}").json
        return seen

    def wait_for_step(self, name: str, step: int) -> dict[str, Any]:
        """Wait until it has learned for `step` steps."""
        return self.wait_for(name, lambda seen: seen["step"] >= step)

    def wait_for_more(self, name: str) -> dict[str, Any]:
        """Wait until it has learned for a few steps more than now."""
        return self.wait_for_step(name, self.training(name)["step"] + 3)

    def wait_for_state(self, name: str, *states: str) -> dict[str, Any]:
        """Wait until its state is one of `states`."""
        return self.wait_for(name, lambda seen: seen["state"] in states)

    def wait_for(self, name: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until `is_so` says yes to how the training stands."""
        ends = time.monotonic() + PATIENCE_S
        while not is_so(seen := self.training(name)):
            assert time.monotonic() < ends, f"{seen}\n{self.output}"
            assert seen["state"] != "failed", f"{seen}\n{self.output}"
            time.sleep(0.1)
        return seen

    def end_trainings(self) -> None:
        """Cancel what is under way."""
        for training in self.ask("/pseudoword/v1/trainings").json["trainings"]:
            if training["state"] in ("waiting", "preparing", "training", "paused"):
                self.order(training["name"], "cancel")
                self.wait_for_state(training["name"], "cancelled")

    def picture(self, prompt: str = "a photo of a red cat") -> tuple[bytes, str]:
        """The pixels of a picture that the WebUI makes of `prompt`, always with the same seed, and its infotext."""
        asked = {"prompt": prompt, "seed": 7, "steps": 8, "width": 64, "height": 64, "cfg_scale": 5}
        answer = self.ask("/sdapi/v1/txt2img", {**asked, "sampler_name": "DPM++ 2M"})
        assert answer.status == 200, answer
        with Image.open(BytesIO(base64.b64decode(answer.json["images"][0]))) as picture:
            return picture.tobytes(), json.loads(answer.json["info"])["infotexts"][0]


@contextlib.contextmanager
def running(folder: Path, *flags: str) -> Iterator[Webui]:
    """A WebUI that is up, and ended afterwards in any case."""
    webui = Webui(folder, flags)
    try:
        webui.start()
        yield webui
    finally:
        webui.kill()


def furnished(folder: Path) -> Path:
    """`folder` with what a WebUI needs to start from there: the extension, a checkpoint, and a word of before."""
    extension = folder / "extensions" / "pseudoword"
    extension.mkdir(parents=True, exist_ok=True)
    for name in EXTENSION:
        copy(ROOT / name, extension / name)
    models = folder / "models" / "Stable-diffusion"
    models.mkdir(parents=True)
    for name in (f"{CHECKPOINT}.safetensors", f"{CHECKPOINT}.yaml", CHECKPOINT):
        copy(BUILTIN / name, models / name)
    (folder / "embeddings").mkdir()
    save_file({"emb_params": torch.zeros(1, 128)}, folder / "embeddings" / f"{WORD_OF_BEFORE}.safetensors")
    (folder / "ui-config.json").write_text(json.dumps(SMALL_PICTURES))
    return folder


def add_other_checkpoint(folder: Path) -> None:
    """A second checkpoint in the WebUI's `folder`, like the first but for its name and hash."""
    models = folder / "models" / "Stable-diffusion"
    save_file(
        load_file(models / f"{CHECKPOINT}.safetensors"),
        models / f"{OTHER_CHECKPOINT}.safetensors",
        {"about": "another checkpoint"},
    )
    copy(models / f"{CHECKPOINT}.yaml", models / f"{OTHER_CHECKPOINT}.yaml")
