"""Sentences for the network: without the server's folders, which are only looked up where a sentence may name one."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

from pseudoword.jobs.library.words import trained_words
from pseudoword.jobs.server.shown_paths import hiding_folders
from tests.jobs.small_host import small_host


def test_thousands_of_folders_are_looked_up_once_and_only_for_a_sentence_that_may_name_one(tmp_path: Path) -> None:
    looked_up = list[None]()

    def library() -> list[Path]:
        looked_up.append(None)
        return [tmp_path / "library"]

    hide = hiding_folders(replace(small_host(tmp_path / "runs"), library=library))
    assert hide("Learned.") == "Learned." and looked_up == []
    for name in ("a", "b"):
        assert hide(f"{tmp_path / 'library' / name} is broken.") == f"{name} is broken."
    assert hide(f"It is in {tmp_path / 'runs' / 'x' / 'y'}.") == f"It is in {os.path.join('x', 'y')}."
    assert len(looked_up) == 1


def test_words_are_listed_while_runs_come_and_go(tmp_path: Path) -> None:
    (tmp_path / "zonk").mkdir()
    (tmp_path / "zonk" / "zonk.safetensors").touch()
    (tmp_path / "a file").touch()
    is_over = threading.Event()

    def come_and_go() -> None:
        while not is_over.is_set():
            for number in range(20):
                (tmp_path / f"run-{number}").mkdir()
            for number in range(20):
                shutil.rmtree(tmp_path / f"run-{number}")

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(300):
            assert [word.name for word in trained_words(tmp_path)] == ["zonk"]
    finally:
        is_over.set()
        thread.join()
