"""A small project around the real run.py, whose lock file names one tiny wheel that lies beside it."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.launch.environment import Environment

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """\
import sys, time
import greeting
print(greeting.WORDS, sys.prefix, *sys.argv[1:], sep="|", flush=True)
if "wait" in sys.argv:
    time.sleep(60)
sys.exit(3 if "fail" in sys.argv else 0)
"""


@dataclass(frozen=True)
class Project:
    """A folder with run.py, its launcher, a lock file and a package `pseudoword` that prints what it was given."""

    folder: Path

    @property
    def environment(self) -> Environment:
        """Where run.py sets up its packages."""
        return Environment(self.folder, ".venv", self.folder / "requirements" / "standalone.txt")

    def start(self, *arguments: str, cwd: Path | None = None, **settings: str) -> subprocess.Popen[str]:
        """Start `python run.py arguments`, without any package index."""
        index = {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": (self.folder / "wheels").as_uri(),
            "PIP_CONFIG_FILE": os.devnull,
        }
        return subprocess.Popen(
            [sys.executable, str(self.folder / "run.py"), *arguments],
            cwd=cwd or self.folder,
            env={**os.environ, **index, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, cwd: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `python run.py arguments` to its end."""
        process = self.start(*arguments, cwd=cwd, **settings)
        stdout, stderr = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def write_lock(self, version: str = "1.0", name: str = "greeting", digest: str | None = None) -> None:
        """Let the lock file name one wheel."""
        wheel = self.folder / "wheels" / f"greeting-{version}-py3-none-any.whl"
        if digest is None:
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        line = f"{name}=={version} \\\n    --hash=sha256:{digest}\n"
        self.environment.lock.write_text(line, encoding="utf-8")


def write_wheel(folder: Path, version: str) -> None:
    """Write a wheel `greeting` of one module into `folder`."""
    about = f"greeting-{version}.dist-info"
    files = {
        "greeting/__init__.py": f'WORDS = "hello {version}"\n',
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(record(files)) + f"{about}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"greeting-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


def record(files: dict[str, str]) -> Sequence[str]:
    """The lines of a wheel's list of contents."""
    hashes = {name: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()) for name, text in files.items()}
    return [f"{name},sha256={hashes[name].rstrip(b'=').decode()},{len(text)}\n" for name, text in files.items()]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project just cloned, in a folder with spaces in its name."""
    return make_project(tmp_path / "just a clone")


@pytest.fixture(scope="session")
def first_call(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, subprocess.CompletedProcess[str]]:
    """A project and what its first call said."""
    project = make_project(tmp_path_factory.mktemp("ready") / "set up here")
    return project, project.run("demo", "two words")


@pytest.fixture
def ready(first_call: tuple[Project, subprocess.CompletedProcess[str]], tmp_path: Path) -> Project:
    """A copy of a project that is set up, to be damaged."""
    return Project(Path(shutil.copytree(first_call[0].folder, tmp_path / "a copy", symlinks=True)))


def make_project(folder: Path) -> Project:
    """Lay out a project in `folder`."""
    for name in ("requirements", "wheels", "pseudoword"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(
        ROOT / "tools" / "launch", folder / "tools" / "launch", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "run.py", folder)
    (folder / "pseudoword" / "__main__.py").write_text(PROGRAM)
    write_wheel(folder / "wheels", "1.0")
    write_wheel(folder / "wheels", "2.0")
    project = Project(folder)
    project.write_lock()
    return project
