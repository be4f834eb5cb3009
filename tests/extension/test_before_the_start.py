"""What the WebUI calls before it starts: the flags, and the installer."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

import install
import preload

ROOT = Path(__file__).parents[2]


def test_every_flag_is_ours_by_name_and_says_what_it_does() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    preload.preload(parser)
    flags = [action for action in parser._actions if action.option_strings]
    assert len(flags) >= 3
    for flag in flags:
        assert all(name.startswith("--pseudoword-") for name in flag.option_strings)
        assert flag.help and "Pseudoword" in flag.help
    assert not any(vars(parser.parse_args([])).values())


def test_flags_are_read() -> None:
    parser = argparse.ArgumentParser()
    preload.preload(parser)
    read = parser.parse_args(
        ["--pseudoword-folder", "/a", "--pseudoword-folder", "/b", "--pseudoword-clip", "c.json", "w"]
    )
    assert read.pseudoword_folder == ["/a", "/b"] and read.pseudoword_clip == ["c.json", "w"]


def test_where_nothing_is_missing_the_installer_starts_nothing() -> None:
    program = "import subprocess, runpy; subprocess.Popen = None; runpy.run_path('install.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_missing_is_installed_while_all_else_keeps_its_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(install.NEEDED, "no_such_module", "no-such-package")
    seen: list[list[str]] = []
    pins: list[str] = []

    def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
        seen.append(command)
        pins.extend(Path(command[command.index("--constraint") + 1]).read_text().splitlines())
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    assert install.missing() == ["no-such-package"]
    install.install(install.missing())
    assert seen[0][-1] == "no-such-package" and any(pin.startswith("torch==") for pin in pins)
    assert "could not be installed without changing other packages" in capsys.readouterr().err
