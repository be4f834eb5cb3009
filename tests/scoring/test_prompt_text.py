"""A prompt, as it stands or in a picture's file, becomes the sentence that the picture is compared with."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from pseudoword.scoring.infotext import prompt_in, prompt_of
from pseudoword.scoring.prompt_text import sentence_of

SENTENCES = {
    "a (cat:1.2), [dog], ((big)) house": "a cat, dog, big house",
    "<lora:film:0.8> a cat, <lyco:x:1:2>, dog": "a cat, dog",
    "a [cat:dog:0.3]": "a dog",
    "a [cat:dog:0.7]": "a cat",
    "a [cat:dog:12]": "a dog",
    "a cat [in a hat:0.4]": "a cat in a hat",
    "a cat [in a hat:0.9]": "a cat",
    "a cat [in a hat::0.9]": "a cat in a hat",
    "a cat [in a hat::0.1]": "a cat",
    "[[a:b:0.2]:c:0.9]": "b",
    "(a [b:c:0.2]:1.3)": "a c",
    "a [cow|horse|] in a field": "a cow and horse in a field",
    "a cat AND a dog :1.2 AND bad :-1": "a cat, a dog",
    "one BREAK two BREAK": "one two",
    r"smile \(character\), \[x\]": "smile (character), [x]",
    "(blurry:0), sharp": "sharp",
    "ratio 16:9, 1,000 sheep": "ratio 16:9, 1,000 sheep",
    "a cat (on [a mat": "a cat on a mat",
    "(x:1.2.3) y": "x:1.2.3 y",
    "[a:b]": "a:b",
    "  one,,  , two ,": "one, two",
    "<lora:alone:1>": "",
    "": "",
}


@pytest.mark.parametrize("prompt", SENTENCES)
def test_only_the_words_stay(prompt: str) -> None:
    assert sentence_of(prompt) == SENTENCES[prompt]


SYNTAX = st.sampled_from(
    ["(", ")", "[", "]", ":", "|", "\\", ",", " ", "\n", "AND ", " BREAK ", "<lora:", ">", "0.5", "1", "-", "cat", "é"]
)


@settings(max_examples=300)
@given(st.lists(SYNTAX | st.characters(), max_size=60).map("".join))
def test_any_text_becomes_a_sentence_of_its_own_characters(prompt: str) -> None:
    sentence = sentence_of(prompt)
    assert sentence == sentence.strip(" ,") and "\n" not in sentence and "  " not in sentence
    assert set(sentence) <= set(prompt) | set(" ,and")


@given(st.lists(st.text("abcdefghij", min_size=1), min_size=1, max_size=20))
def test_plain_words_stay_as_they_are(words: list[str]) -> None:
    assert sentence_of(" ".join(words)) == " ".join(words)


@given(st.lists(st.text("abcdefghij", min_size=1), min_size=1, max_size=8), st.data())
def test_weights_and_networks_change_nothing(words: list[str], data: st.DataObject) -> None:
    dressed = [
        data.draw(st.sampled_from([word, f"({word}:1.3)", f"(({word}))", f"<lora:x:1> {word}"])) for word in words
    ]
    assert sentence_of(" ".join(dressed)) == " ".join(words)


@pytest.mark.parametrize("piece", ["[", "(", "[a:", "<a:", "[a|", ":", " AND ", "[a:b:0.5]", "(a:1)", "\\"])
def test_long_nonsense_is_read_in_no_time(piece: str) -> None:
    assert len(sentence_of(piece * (10_000 // len(piece)))) <= 20_000


@pytest.mark.parametrize(
    "line", ["a" + " " * 19_990 + "b", "word " * 4_000, 'a:"' * 6_000, "a: " * 6_000, "a," * 9_000]
)
def test_a_long_last_line_is_read_in_no_time(line: str) -> None:
    assert prompt_of(f"a cat\n{line}").startswith("a cat")


INFOTEXT = """a cat, (big:1.2)
in a hat
Negative prompt: blurry,
grey
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512, Lora hashes: "a: 1, b: 2\""""


def test_the_prompt_is_what_stands_before_the_negative_one_and_the_facts() -> None:
    assert prompt_of(INFOTEXT) == "a cat, (big:1.2)\nin a hat"
    assert prompt_of("a cat\nSteps: 20, Sampler: Euler a, Seed: 3") == "a cat"
    assert prompt_of("a cat, at 10:30") == "a cat, at 10:30"
    assert prompt_of("Negative prompt: grey\nSteps: 20, Sampler: Euler a, Seed: 3") == ""


def saved(kind: str, order: str = "utf-16-be") -> bytes:
    """A picture with `INFOTEXT`, as A1111 writes it into a file of this kind."""
    buffer, image = io.BytesIO(), Image.new("RGB", (8, 8))
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_text("parameters", INFOTEXT)
        image.save(buffer, kind, pnginfo=info)
    else:
        comment = b"UNICODE\0" + INFOTEXT.encode(order)
        # A directory whose only entry leads to another, with the comment (0x9286) behind it.
        first = struct.pack(">HHHIII", 1, 0x8769, 4, 1, 26, 0)
        second = struct.pack(">HHHIII", 1, 0x9286, 7, len(comment), 44, 0)
        image.save(buffer, kind, exif=b"Exif\0\0MM\0*\0\0\0\x08" + first + second + comment)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_prompt_is_found_in_files_of_every_kind(kind: str) -> None:
    assert prompt_in(saved(kind)) == "a cat, (big:1.2)\nin a hat"
    assert prompt_in(saved(kind, "utf-16-le")) == "a cat, (big:1.2)\nin a hat"


def test_files_without_a_prompt_and_broken_ones_have_none() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    assert prompt_in(buffer.getvalue()) == prompt_in(b"") == prompt_in(b"text") == prompt_in(saved("PNG")[:20]) == ""


@given(st.binary(max_size=200), st.integers(0, 400))
def test_damaged_files_have_some_prompt_or_none(junk: bytes, place: int) -> None:
    data = saved("JPEG")
    assert isinstance(prompt_in(data[:place] + junk + data[place + len(junk) :]), str)
