"""A folder to work in: a tiny model, four pictures, and a command line that returns what it said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pseudoword.cli import main

WORD = "zxqv-toy"
QUICK = ["--validate-every", "0", "--no-early-stop", "--preview-every", "0"]


@dataclass(frozen=True)
class Answer:
    """What a command line said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON, a line each."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def result(self) -> dict[str, Any]:
        """The result, which is the last line."""
        assert self.code == 0, self.out
        (result,) = self.lines[-1].values()
        return dict(result)


@dataclass(frozen=True)
class World:
    """`model` is a diffusers folder, `pictures` a folder of four, `clip` the two files of an open_clip model."""

    model: Path
    pictures: Path
    clip: tuple[Path, Path]
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: object) -> Answer:
        """Run a command line in this process."""
        self.capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Answer(code, *self.capsys.readouterr())

    def train(self, *more: object, steps: int = 3) -> Answer:
        """Train `WORD` for a few steps."""
        return self.run(
            *("train", self.pictures, "--name", WORD, "--model", self.model, "--start", "the dog", "--steps", steps),
            *(*QUICK, *more),
        )
