"""Uploads from several folders, brought together in one."""

from __future__ import annotations

from pathlib import Path

from pseudoword.jobs.copied_files import copies_of, told_apart


def test_no_file_takes_the_place_of_another_whatever_they_are_called(tmp_path: Path) -> None:
    given = [tmp_path / place for place in ("here/cat.png", "here/cat (2).png", "there/cat.png", "there/Cat.PNG")]
    for number, path in enumerate(given):
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))
    copies = copies_of(given, tmp_path / "set")
    assert {source: copy.read_text() for copy, source in copies.items()} == dict(zip(given, "0123", strict=True))


def test_only_names_that_are_alike_get_numbers_and_captions_those_of_their_pictures() -> None:
    given = ["cat.png", "cat.txt", "dog.png", "cat.png", "cat.txt", "cat.png", "cat (2).png", "Dog.png"]
    named = ["cat.png", "cat.txt", "dog.png", "cat (2).png", "cat (2).txt", "cat (3).png", "cat (2) (2).png"]
    assert told_apart(given) == [*named, "Dog (2).png"]
