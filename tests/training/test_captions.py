"""Prompts of training: templates, captions beside pictures, and the changes made to their tags."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.errors import DatasetError
from pseudoword.training.captions import (
    BUILT_IN_TEMPLATES,
    MAX_TEXT_BYTES,
    OBJECT_TEMPLATES,
    STYLE_TEMPLATES,
    filewords_of,
    fill,
    load_templates,
    prompts_for,
    words_of_file_name,
)
from pseudoword.training.randomness import step_generator
from pseudoword.training.settings import TrainSettings

WORD = st.text(alphabet="abcdefgхñ-", min_size=1, max_size=8)
PIECE = st.sampled_from(["[name]", "[filewords]", "a photo of", "in snow", ",", " , ", "  ", "(x:1.2)", "[", "]"])


def prompts(settings: TrainSettings, filewords: str, count: int = 200) -> list[str]:
    """Prompts of `count` steps."""
    return [
        prompts_for(settings, settings.name, filewords, step_generator(0, step, "captions")) for step in range(count)
    ]


@given(st.lists(PIECE, min_size=1, max_size=8).map(" ".join), WORD, st.lists(WORD, max_size=4).map(", ".join))
def test_a_filled_template_holds_the_word_and_the_caption_and_no_placeholder(
    template: str, name: str, caption: str
) -> None:
    text = fill(template, name, caption)
    assert "[name]" not in text and "[filewords]" not in text
    assert text.count(name) >= template.count("[name]")
    assert text.count(caption) >= template.count("[filewords]") or not caption
    assert text == text.strip() and "  " not in text


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("a photo of [name], [filewords]", "a photo of zxq"),
        ("[filewords], a photo of [name]", "a photo of zxq"),
        ("a photo of [name] , [filewords], at night", "a photo of zxq, at night"),
        ("a photo of [name] [filewords]", "a photo of zxq"),
        ("[name], at night", "zxq, at night"),
    ],
)
def test_without_a_caption_no_lonely_comma_is_left(template: str, prompt: str) -> None:
    assert fill(template, "zxq", "") == prompt


def test_a_caption_may_say_where_the_new_word_goes() -> None:
    assert fill("[filewords]", "zxq", "[name] on a table") == "zxq on a table"


@pytest.mark.parametrize("templates", [OBJECT_TEMPLATES, STYLE_TEMPLATES])
def test_the_built_in_templates_are_many_and_all_show_the_word(templates: tuple[str, ...]) -> None:
    assert len(set(templates)) == len(templates) >= 10
    assert all(template.count("[name]") == 1 for template in templates)


@pytest.mark.parametrize("choice", ["object", "style"])
def test_every_template_has_its_turn(choice: str) -> None:
    settings = TrainSettings("zxq", templates=choice)
    expected = {
        template.replace(", [filewords]", "").replace("[name]", "zxq") for template in BUILT_IN_TEMPLATES[choice]
    }
    assert set(prompts(settings, "")) == expected


def test_the_same_generator_gives_the_same_prompt() -> None:
    settings = TrainSettings("zxq", shuffle_tags=True, drop_tags=0.5)
    assert prompts(settings, "a, b, c, d") == prompts(settings, "a, b, c, d")


def template_file(folder: Path, content: str = "[name], [filewords]\n") -> str:
    path = folder / "templates.txt"
    path.write_bytes(content.encode())
    return str(path)


def test_tags_are_shuffled_only_when_asked_for(tmp_path: Path) -> None:
    plain = TrainSettings("zxq", templates=template_file(tmp_path))
    assert set(prompts(plain, "a,b ,  c")) == {"zxq, a, b, c"}
    shuffled = Counter(prompts(TrainSettings("zxq", templates=plain.templates, shuffle_tags=True), "a,b,c", count=300))
    assert len(shuffled) == 6
    assert min(shuffled.values()) > 25  # of 50 on average


def test_tags_are_dropped_as_often_as_asked_for(tmp_path: Path) -> None:
    settings = TrainSettings("zxq", templates=template_file(tmp_path), drop_tags=0.25)
    kept = Counter(tag for prompt in prompts(settings, "a, b", count=800) for tag in prompt.split(", ")[1:])
    assert all(540 < kept[tag] < 660 for tag in ("a", "b"))  # of 600 on average
    everything = TrainSettings("zxq", templates=settings.templates, drop_tags=1.0)
    assert set(prompts(everything, "a, b")) == {"zxq"}


def test_a_template_file_has_one_template_a_line(tmp_path: Path) -> None:
    path = template_file(tmp_path, "\ufeffa [name]\r\n\r\n  [filewords] by [name]  \r\n")
    assert tuple(load_templates(path)) == ("a [name]", "[filewords] by [name]")


def test_an_edited_template_file_is_read_anew(tmp_path: Path) -> None:
    path = template_file(tmp_path, "a [name]")
    assert tuple(load_templates(path)) == ("a [name]",)
    template_file(tmp_path, "the [name]")
    os.utime(path, ns=(1, 1))
    assert tuple(load_templates(path)) == ("the [name]",)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a [name]\na photo\n", "Line 2 of the template file templates.txt is 'a photo'"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe\x00", "not text in UTF-8"),
        (b"[name]\0", "not text"),
        (b"[name] " * MAX_TEXT_BYTES, "longer than 64 KiB"),
    ],
)
def test_a_template_file_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "templates.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=complaint):
        load_templates(str(tmp_path / "templates.txt"))


@pytest.mark.parametrize("choice", ["objekt", "", "no-folder/templates.txt"])
def test_templates_that_are_not_there_are_refused(tmp_path: Path, choice: str) -> None:
    with pytest.raises(DatasetError, match="give the path of a text file, 'object' or 'style'|cannot be read"):
        load_templates(str(tmp_path / choice) if choice else str(tmp_path))


def test_the_text_file_beside_a_picture_is_its_caption(tmp_path: Path) -> None:
    (tmp_path / "cat.txt").write_text("red hat,\n on a  table\n", encoding="utf-8")
    assert filewords_of(tmp_path / "cat.png", TrainSettings("zxq")) == "red hat, on a table"


def test_a_caption_of_windows_editor_is_understood(tmp_path: Path) -> None:
    (tmp_path / "cat.txt").write_text("шляпа", encoding="utf-16")
    assert filewords_of(tmp_path / "cat.png", TrainSettings("zxq")) == "шляпа"


def test_file_names_are_captions_for_the_users_own_templates_only(tmp_path: Path) -> None:
    picture = tmp_path / "0012_red-hat_on table.png"
    assert filewords_of(picture, TrainSettings("zxq")) == ""
    assert filewords_of(picture, TrainSettings("zxq", templates=template_file(tmp_path))) == "red-hat on table"


@pytest.mark.parametrize(
    ("stem", "words"),
    [("00001-0-red hat", "red hat"), ("IMG_1234", "IMG 1234"), ("0042", ""), ("a__b", "a b"), ("猫_2", "猫 2")],
)
def test_numbers_in_front_of_a_file_name_say_nothing(stem: str, words: str) -> None:
    assert words_of_file_name(stem) == words


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"\xff\x00\x81", "not text in UTF-8"), (b"a, " * 50_000, "shorten it")]
)
def test_a_caption_that_is_no_text_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "cat.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=f"cat.txt.*{complaint}"):
        filewords_of(tmp_path / "cat.png", TrainSettings("zxq"))
