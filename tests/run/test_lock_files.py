"""The lock files: exact, with hashes, from wherever the reader's pip looks, and holding what was asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
NAMES = ("standalone", "webui")


def locked(name: str) -> list[tuple[Requirement, str]]:
    """The requirements in a lock file, each with its hashes as they stand there."""
    text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    text = re.sub(r"^\s*#.*$\n?", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [(Requirement(line.partition("--hash")[0]), line) for line in text.splitlines() if line.strip()]


def asked(name: str) -> list[Requirement]:
    """The requirements that a lock file was made for."""
    lines = (REQUIREMENTS / f"{name}.in").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line.partition("#")[0].strip()]


def holds(requirement: Requirement, python: str) -> bool:
    """Whether it counts for a Python version, on Linux."""
    surroundings = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    return requirement.marker is None or requirement.marker.evaluate(surroundings)


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned_to_one_version_with_hashes(name: str) -> None:
    for requirement, line in locked(name):
        assert [pin.operator for pin in requirement.specifier] == ["=="], line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line


@pytest.mark.parametrize("name", NAMES)
def test_no_lock_file_names_a_registry(name: str) -> None:
    text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    assert "://" not in text and "--index-url" not in text and "--find-links" not in text


@pytest.mark.parametrize(
    ("name", "python"), [("standalone", version) for version in ("3.10", "3.11", "3.12", "3.13")] + [("webui", "3.10")]
)
def test_what_was_asked_for_is_locked_once_for_each_python(name: str, python: str) -> None:
    versions: dict[str, list[str]] = {}
    for requirement, _ in locked(name):
        if holds(requirement, python):
            (pin,) = requirement.specifier
            versions.setdefault(canonicalize_name(requirement.name), []).append(pin.version)
    assert all(len(found) == 1 for found in versions.values())
    for wanted in asked(name):
        if holds(wanted, python):
            assert versions[canonicalize_name(wanted.name)][0] in wanted.specifier, wanted
