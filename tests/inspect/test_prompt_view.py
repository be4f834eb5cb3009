"""What the model reads of a prompt: positions, chunks, words, and what other programs read differently."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.errors import SettingsError
from pseudoword.inspect.prompt_view import (
    MAX_CHARACTERS,
    Cut,
    PieceView,
    PromptView,
    WebuiReading,
    WordView,
    view_as_text,
    view_prompt,
)
from pseudoword.text import chunk_prompt
from tests import tiny_models

TOKENIZER = tiny_models.tokenizer()
WORDS = {"zonk": 3, "my-style": 2}


def shown(prompt: str, **words: int) -> PromptView:
    return view_prompt(prompt, TOKENIZER, words or WORDS)


def content(view: PromptView) -> list[PieceView]:
    """What stands between start and end of all chunks."""
    return [piece for chunk in view.chunks for piece in chunk.pieces if piece.number is not None]


# Chunks


def test_a_short_prompt() -> None:
    view = shown("a (dog:1.5) zonk")
    (chunk,) = view.chunks
    assert [piece.position for piece in chunk.pieces] == list(range(77)) and chunk.used == 5
    assert chunk.pieces[0] == PieceView("start", 0, "<|startoftext|>", TOKENIZER.start_id)
    assert chunk.pieces[1] == PieceView("token", 1, "a", TOKENIZER.tokenize("a")[0], True, number=0)
    assert chunk.pieces[2] == PieceView("token", 2, "dog", TOKENIZER.tokenize("dog")[0], True, weight=1.5, number=1)
    assert chunk.pieces[3:6] == tuple(
        PieceView("word", 3 + index, "zonk", vector=index, number=2 + index) for index in range(3)
    )
    assert chunk.pieces[6] == PieceView("end", 6, "<|endoftext|>", TOKENIZER.end_id)
    assert {piece.kind for piece in chunk.pieces[7:]} == {"padding"} and view.cut is None
    assert view.words == (WordView("zonk", 0, 3, 3, 1.0),)


def test_a_word_of_several_tokens_says_where_it_ends() -> None:
    pieces = content(shown("unbelievable"))
    assert "".join(piece.text for piece in pieces) == "unbelievable" and len(pieces) > 1
    assert [piece.ends_word for piece in pieces] == [False] * (len(pieces) - 1) + [True]


def test_the_end_token_in_a_prompt_is_not_taken_for_the_end() -> None:
    (chunk,) = shown("a <|endoftext|>").chunks
    assert [piece.kind for piece in chunk.pieces[:5]] == ["start", "token", "token", "end", "padding"]
    assert chunk.pieces[2].token_id == TOKENIZER.end_id


def test_padding_is_that_of_the_model() -> None:
    (chunk,) = view_prompt("a", padded_with_0(), {}).chunks
    assert [piece.token_id for piece in chunk.pieces[2:5]] == [TOKENIZER.end_id, 0, 0]


def padded_with_0() -> Any:
    return SimpleNamespace(
        start_id=TOKENIZER.start_id,
        end_id=TOKENIZER.end_id,
        pad_id=0,
        tokenize=TOKENIZER.tokenize,
        token_text=TOKENIZER.token_text,
    )


def test_break_begins_a_new_chunk_and_nothing_is_left_of_the_last() -> None:
    assert [chunk.used for chunk in shown("the dog BREAK the").chunks] == [2, 1]
    assert [chunk.used for chunk in shown("BREAK the BREAK BREAK dog BREAK").chunks] == [0, 1, 0, 1]
    assert [chunk.used for chunk in shown("BREAK").chunks] == [0]
    assert [chunk.used for chunk in shown("the " * 75 + "BREAK the").chunks] == [75, 1]
    assert [chunk.used for chunk in shown("").chunks] == [0]


def test_stretches_of_different_weight_are_read_apart() -> None:
    assert [piece.text for piece in content(shown("the(the)"))] == ["the", "the"]
    assert [piece.ends_word for piece in content(shown("thethe"))] == [False, True]


def test_without_attention_brackets_are_text() -> None:
    view = view_prompt("a (zonk:1.2) BREAK", TOKENIZER, WORDS, attention=False)
    assert len(view.chunks) == 1 and {piece.weight for piece in content(view)} == {1.0}
    tokens = [piece.token_id or 0 for piece in view.chunks[0].pieces]
    assert tokens == chunk_prompt("a (zonk:1.2) BREAK", TOKENIZER, WORDS)[0].token_ids


words_of_prompts = st.lists(st.sampled_from(["dog", ",", "zonk", "ZIP", "unbelievable", "my-style", "."]), max_size=130)


@given(words_of_prompts, st.integers(1, 80))
def test_the_view_is_what_is_encoded(pieces: list[str], count: int) -> None:
    prompt, words = " ".join(pieces), {**WORDS, "zip": count}
    view = view_prompt(prompt, TOKENIZER, words)
    chunks = chunk_prompt(prompt, TOKENIZER, words)
    assert [[p.token_id or 0 for p in chunk.pieces] for chunk in view.chunks] == [chunk.token_ids for chunk in chunks]
    found = [[(p.position, p.text, p.vector) for p in chunk.pieces if p.kind == "word"] for chunk in view.chunks]
    assert found == [chunk.word_vectors for chunk in chunks]
    assert sum(word.vectors for word in view.words) == sum(len(chunk.word_vectors) for chunk in chunks)


@given(st.text(st.characters()) | st.text("ab ()[]\\:.1,BREAK", max_size=60))
def test_any_text_has_a_view_or_a_bad_weight(prompt: str) -> None:
    try:
        view = view_prompt(prompt, TOKENIZER, WORDS)
    except SettingsError as error:
        assert "is no number" in str(error)
        return
    assert all(len(chunk.pieces) == 77 for chunk in view.chunks) and view.chunks
    assert [piece.number for piece in content(view)] == list(range(len(content(view))))
    view_as_text(view).encode()


# Words


def test_words_say_where_they_are_and_with_which_weight() -> None:
    view = shown("the " * 74 + "(zonk:1.2) my-style", zonk=3, **{"my-style": 2})
    assert view.words == (WordView("zonk", 1, 1, 3, 1.2), WordView("my-style", 1, 4, 2, 1.0))
    assert shown("zonk", zonk=80).words == (WordView("zonk", 0, 1, 80, 1.0),)


def test_a_word_that_takes_the_place_of_an_ordinary_one_is_marked() -> None:
    assert [word.replaces for word in shown("a DOG, a zonk", dog=1, zonk=1).words] == ["dog", ""]
    assert "The new word dog replaces the ordinary word 'dog'" in view_as_text(shown("dog", dog=1))


def test_what_the_webui_finds_inside_a_longer_text_is_marked() -> None:
    (reading,) = shown("in 2021, 2 dogs", **{"2": 1}).webui_readings
    assert reading == WebuiReading("2", 1, 3, ("in «2» 0 2 1", "in 2 0 «2» 1 , 2", "2 1 , «2» dogs"))
    (reading,) = shown("the art 3", art3=1).webui_readings
    assert reading == WebuiReading("art3", 0, 1, ("the «art 3»",))
    (reading,) = shown("the art 3", art3=1).webui_readings
    assert reading == WebuiReading("art3", 0, 1, ("the «art 3»",))
    assert "finds 'art3' 1 times where 0 are meant: the «art 3»." in view_as_text(shown("the art 3", art3=1))


def test_what_the_webui_does_not_find_is_marked() -> None:
    assert shown("a<thing>!", **{"<thing>": 1}).webui_readings == (WebuiReading("<thing>", 1, 0, ()),)


def test_the_webui_reads_stretches_of_different_weight_apart() -> None:
    assert shown("art (3)", art3=1).webui_readings == ()
    assert shown("zonk's zonk, (zonk)", zonk=1).webui_readings == ()


def test_of_two_words_with_the_same_beginning_the_webui_takes_the_longer() -> None:
    assert shown("my-style my", my=1, **{"my-style": 1}).webui_readings == ()


# The cut


def test_what_a_tool_with_77_tokens_loses() -> None:
    assert shown("the " * 75).cut is None
    assert shown("the " * 75 + "dog, unbelievable zonk").cut == Cut(
        len(TOKENIZER.tokenize("dog, unbelievable")) + 3, "dog , unbelievable zonk"
    )
    assert shown("the " * 74 + "zonk dog").cut == Cut(3, "zonk dog", "zonk")


def test_the_text_for_the_command_line() -> None:
    text = view_as_text(shown("a (zonk:1.25) BREAK " + "the " * 75))
    assert text.splitlines()[:8] == [
        "Chunk 1 of 2: 4 of 75 places taken",
        f"   0  start  {TOKENIZER.start_id:>6}  <|startoftext|>",
        f"   1  token  {TOKENIZER.tokenize('a')[0]:>6}  a",
        "   2  word           zonk, vector 1  × 1.25",
        "   3  word           zonk, vector 2  × 1.25",
        "   4  word           zonk, vector 3  × 1.25",
        f"   5  end    {TOKENIZER.end_id:>6}  <|endoftext|>",
        "   6 to 76  padding",
    ]
    assert text.splitlines()[-2:] == [
        "zonk takes 3 places from place 2 of chunk 1 on.",
        "A tool that reads one chunk only loses the last 4: the the the the",
    ]


def test_a_name_of_half_characters_does_no_harm() -> None:
    assert shown("a \ud800 dog", **{"\udcff": 1}).prompt == "a � dog"


def test_long_prompts_are_refused_and_hostile_ones_read_quickly() -> None:
    with pytest.raises(SettingsError, match="has 20,001 characters"):
        shown("a" * (MAX_CHARACTERS + 1))
    for hostile in ("(a" * 10_000, "[" * 20_000, " " * 20_000, ":" * 20_000, "BREAK " * 3_000, ":1" + " " * 19_998):
        start = time.process_time()
        shown(hostile)
        assert time.process_time() - start < 5


# Many words


@pytest.mark.parametrize(
    "prompt", ["Zonk", "(zo:1.2)nk, zonk", "my-\u017ftyle", "e\u0301te\u0301 \u00e9t\u00e9", "art 3", "b\u0131g"]
)
def test_a_word_is_found_among_thousands_as_if_it_were_alone(prompt: str) -> None:
    few = {"zonk": 3, "my-style": 2, "\u00e9t\u00e9": 2, "art3": 1, "big": 1}
    many = {**few, **{f"style-{number}": 2 for number in range(5000)}}
    alone, among = shown(prompt, **few), shown(prompt, **many)
    assert (among.chunks, among.words, among.webui_readings) == (alone.chunks, alone.words, alone.webui_readings)
    assert among.words or among.webui_readings
