"""No file whatever stops the table of a library: broken, hostile, vanishing and odd ones are rows with a reason."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import pytest
import torch

from pseudoword.embedding import save_embedding
from pseudoword.inspect import library_row, library_table
from pseudoword.inspect.library_row import Reading
from pseudoword.inspect.library_table import scan
from tests.embedding import words
from tests.embedding.hostile import named, tensor, zipped
from tests.inspect.libraries import by_path, files_read, many_words, word

ONE = words.vectors(2, 768, seed=3)
A1111 = {"string_to_token": {"*": 265}, "string_to_param": {"*": ONE}, "name": "moon", "step": 250}
RUNS_A_PROGRAM = b"cos\nsystem\n(X\x04\x00\x00\x00truetR"


def test_broken_files_are_rows_with_their_reason(tmp_path: Path) -> None:
    word(tmp_path, "good", ONE)
    (tmp_path / "empty.pt").touch()
    (tmp_path / "half.pt").write_bytes(b"PK\3\4")
    (tmp_path / "bad.safetensors").write_bytes(word(tmp_path, "good2", ONE).read_bytes()[:-1])
    (tmp_path / "claims.pt").write_bytes(zipped(named(tensor(8, (2, 8), (8, 1))), {"data/0": b"\0" * 32}))
    (tmp_path / "cut.png").write_bytes(word(tmp_path, "card", ONE, "card").read_bytes()[:1000])
    rows = by_path(scan([tmp_path]))
    broken = {path: row for path, row in rows.items() if row.problem}
    assert broken.keys() == {"empty.pt", "half.pt", "bad.safetensors", "claims.pt", "cut.png"}
    for path, row in broken.items():
        assert row.problem.startswith(f"{path} cannot be read as an embedding: ") and row.name == Path(path).stem
        assert (row.architecture, row.vector_count, row.mean_norm, row.fingerprint) == (None, None, None, "")
        assert row.size_bytes == (tmp_path / path).stat().st_size
    assert broken["bad.safetensors"].kind == "safetensors" and broken["bad.safetensors"].short_hash


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_that_run_programs_are_called_unsafe_and_not_run(protocol: int, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {tmp_path / 'marker'}",)

    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Attack(), protocol))
    if protocol >= 2:
        for name, new in (("zip", True), ("old", False)):
            content = {"string_to_param": {"*": ONE}, "name": Attack()}
            torch.save(content, tmp_path / f"{name}.pt", pickle_protocol=protocol, _use_new_zipfile_serialization=new)
    for row in scan([tmp_path]).rows:
        assert row.pickle and row.unsafe_pickle and "cannot be read as an embedding" in row.problem
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("data", "unsafe"),
    [
        (zipped(b"\x80\x02" + RUNS_A_PROGRAM + b"."), True),
        (zipped(b"\x80\x02I1_0\n0" + RUNS_A_PROGRAM + b"."), True),  # Python reads this number, ours does not
        (RUNS_A_PROGRAM + b".", True),
        (b"N0" * 20_000 + RUNS_A_PROGRAM + b".", True),  # longer than anybody looks
        (zipped(named(tensor(8, (2, 8), (8, 1))), {"data/0": b"\0" * 32}), True),  # refused before its end
        (zipped(b"\x80\x02" + RUNS_A_PROGRAM + b".")[:-30], False),  # no program finds the pickle in half a zip
        (pickle.dumps({"w": 1}), False),
        (b"hello world", False),
        (b"checkpoint of the moon\nby Ada\n", False),
        (b"<html><body>404</body></html>", False),
        (b"\0" * 100, False),
        (b"", False),
    ],
    ids=range(12),
)
def test_what_is_called_an_unsafe_pickle(data: bytes, unsafe: bool, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(data)
    (row,) = scan([tmp_path]).rows
    assert row.problem and row.unsafe_pickle == unsafe


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_devices_and_folders_called_like_files_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "device.pt").symlink_to("/dev/zero")
    (tmp_path / "folder.pt").mkdir()
    word(tmp_path, "moon", ONE)
    with words.soon_and_in_little_memory():
        rows = by_path(scan([tmp_path]))
    assert rows.keys() == {"pipe.pt", "device.pt", "moon.safetensors"}
    assert all("it is not a file" in rows[name].problem for name in ("pipe.pt", "device.pt"))


def test_a_file_of_ten_gigabytes_is_a_row_and_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "model.safetensors", "wb") as file:
        file.truncate(10 * 2**30)
    with words.soon_and_in_little_memory():
        (row,) = scan([tmp_path]).rows
    assert "is it a checkpoint?" in row.problem and row.size_bytes == 10 * 2**30 and row.short_hash == ""


def test_links_to_nowhere_and_to_themselves_are_rows(tmp_path: Path) -> None:
    (tmp_path / "gone.pt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.pt").symlink_to(tmp_path / "self.pt")
    rows = by_path(scan([tmp_path]))
    assert "gone.pt cannot be opened (No such file" in rows["gone.pt"].problem
    assert "self.pt cannot be opened" in rows["self.pt"].problem and rows["self.pt"].changed == ""


def test_a_file_without_permission_is_a_row_and_read_when_permission_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_words(tmp_path / "words", 1)

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as closed:
        closed.setattr("builtins.open", refuse)
        (row,) = scan([tmp_path / "words"], tmp_path / "cache").rows
    assert "it cannot be opened (Permission denied)" in row.problem and row.size_bytes
    (row,) = scan([tmp_path / "words"], tmp_path / "cache").rows
    assert row.problem == ""


def test_a_file_that_vanishes_meanwhile_is_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many_words(tmp_path, 4)
    names = files_read(monkeypatch)

    def vanish(done: int, total: int) -> None:
        (tmp_path / f"word-{done + 1:04}.safetensors").unlink(missing_ok=True)

    table = scan([tmp_path], on_progress=vanish)
    assert [row.name for row in table.rows] == ["word-0000"] and table.complete and names == ["word-0000.safetensors"]


def test_a_file_that_somebody_writes_is_never_half_of_one_and_half_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_words(tmp_path / "words", 1)
    path = tmp_path / "words" / "word-0000.safetensors"
    real, times = library_row.read_facts, [1]

    def interrupted(file: Path) -> Reading:
        reading = real(file)
        if times:
            times.pop()
            save_embedding(words.sd1(), file, overwrite=True)
        return reading

    monkeypatch.setattr(library_table, "read_facts", interrupted)
    (row,) = scan([tmp_path / "words"]).rows
    assert row.vector_count == 3 and row.short_hash == hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    times.extend([1] * 9)
    (row,) = scan([tmp_path / "words"]).rows
    assert "changes while it is read" in row.problem


@pytest.mark.skipif(os.name == "nt", reason="Windows' names of files have no halves of characters")
def test_names_with_halves_of_characters_are_shown_and_can_be_opened(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/moon\xff.safetensors"))
    try:
        path.write_bytes(word(tmp_path, "moon", ONE).read_bytes())
    except OSError:
        pytest.skip("this file system has no such names")
    path.with_suffix(".pt").write_bytes(b"broken")
    rows = {row.file: row for row in scan([tmp_path]).rows}
    assert rows[path].name == "moon�" and rows[path].path == "moon�.safetensors"
    for row in rows.values():
        (row.problem + row.path + row.name + row.folder).encode()
