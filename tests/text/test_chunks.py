"""Prompts become chunks of 77 as in AUTOMATIC1111, and a new word stays in one piece."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from pseudoword.text import Chunk, chunk_prompt
from pseudoword.text.chunks import Piece, perhaps_said, unbroken_runs, word_pattern
from tests import tiny_models

TOKENIZER = tiny_models.tokenizer()
FRAME = {TOKENIZER.start_id, TOKENIZER.end_id}


def inner(chunk: Chunk) -> list[object]:
    """What a chunk holds between start and end."""
    return list(chunk.pieces[1 : chunk.pieces.index(TOKENIZER.end_id)])


def test_a_short_prompt_is_one_chunk_with_start_end_and_padding() -> None:
    (chunk,) = chunk_prompt("a dog", TOKENIZER, {})
    tokens = TOKENIZER.tokenize("a dog")
    assert chunk.token_ids == [TOKENIZER.start_id, *tokens] + [TOKENIZER.end_id] * (76 - len(tokens))


def test_an_empty_prompt_is_one_empty_chunk() -> None:
    (chunk,) = chunk_prompt("", TOKENIZER, {})
    assert chunk.token_ids == [TOKENIZER.start_id] + [TOKENIZER.end_id] * 76


def test_75_tokens_fill_one_chunk_and_the_next_one_opens_another() -> None:
    assert [len(inner(chunk)) for chunk in chunk_prompt("the " * 75, TOKENIZER, {})] == [75]
    assert [len(inner(chunk)) for chunk in chunk_prompt("the " * 76, TOKENIZER, {})] == [75, 1]


def test_a_long_prompt_is_cut_after_a_comma_among_the_last_20() -> None:
    assert [len(inner(chunk)) for chunk in chunk_prompt("the " * 60 + "," + " the" * 30, TOKENIZER, {})] == [61, 30]
    assert [len(inner(chunk)) for chunk in chunk_prompt("the " * 55 + "," + " the" * 30, TOKENIZER, {})] == [56, 30]
    assert [len(inner(chunk)) for chunk in chunk_prompt("the " * 54 + "," + " the" * 30, TOKENIZER, {})] == [75, 10]
    assert [len(inner(chunk)) for chunk in chunk_prompt("the " * 70 + "," + " the" * 4, TOKENIZER, {})] == [75]
    assert [len(inner(chunk)) for chunk in chunk_prompt("the " * 70 + "," + " the" * 4 + ",", TOKENIZER, {})] == [75, 1]


def test_a_new_word_is_found_as_a_whole_word_in_any_case() -> None:
    def found(prompt: str, *names: str) -> list[str]:
        (chunk,) = chunk_prompt(prompt, TOKENIZER, dict.fromkeys(names, 1))
        return [word for _, word, _ in chunk.word_vectors]

    assert found("a Zonk, zonk's ZONK-like (zonk:1.2)", "zonk") == ["zonk"] * 4
    assert found("zonks azonk zonk2 zonk_2", "zonk") == []
    assert found("my cat-toy and cat", "cat", "cat-toy") == ["cat-toy", "cat"]
    assert found("a <thing>, a<thing>!", "<thing>") == ["<thing>", "<thing>"]
    assert found("a c++ . * b", ".", "*") == [".", "*"]
    assert found("ÜBER über", "über") == ["über", "über"]


def test_vectors_hold_the_place_of_their_word() -> None:
    (chunk,) = chunk_prompt("a zonk on a hill", TOKENIZER, {"zonk": 3})
    assert chunk.word_vectors == [(2, "zonk", 0), (3, "zonk", 1), (4, "zonk", 2)]
    assert chunk.token_ids[2:5] == [0, 0, 0]
    assert chunk.token_ids[5:8] == TOKENIZER.tokenize("on a hill")[:3]


def test_a_word_that_would_be_cut_in_two_moves_to_the_next_chunk() -> None:
    first, second = chunk_prompt("the " * 70 + "zonk dog", TOKENIZER, {"zonk": 6})
    assert len(inner(first)) == 70
    assert second.word_vectors == [(1 + index, "zonk", index) for index in range(6)]
    assert [len(chunk.word_vectors) for chunk in chunk_prompt("the zonk the", TOKENIZER, {"zonk": 75})] == [0, 75, 0]


def test_a_word_of_more_than_75_vectors_goes_on_in_the_next_chunk() -> None:
    chunks = chunk_prompt("zonk the", TOKENIZER, {"zonk": 100})
    assert [len(chunk.word_vectors) for chunk in chunks] == [75, 25]
    assert len(inner(chunks[1])) == 26


@settings(max_examples=200, deadline=None)
@given(
    pieces=st.lists(st.sampled_from(["dog", ",", "zonk", "ZIP", "photo of the", "unbelievable"]), max_size=120),
    zonk=st.integers(1, 75),
    zip_=st.integers(1, 8),
)
def test_nothing_is_lost_reordered_or_torn(pieces: list[str], zonk: int, zip_: int) -> None:
    words = {"zonk": zonk, "zip": zip_}
    chunks = chunk_prompt(" ".join(pieces), TOKENIZER, words)
    assert all(len(chunk.pieces) == 77 for chunk in chunks)
    expected: list[object] = []
    for piece in pieces:
        name = piece.lower()
        expected += [(name, index) for index in range(words[name])] if name in words else TOKENIZER.tokenize(piece)
    assert list(chain.from_iterable(inner(chunk) for chunk in chunks)) == expected
    for chunk in chunks:
        vectors = [(word, index) for _, word, index in chunk.word_vectors]
        assert all(word_vectors == words[word] for word, word_vectors in runs(vectors))


def runs(vectors: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """(word, number of its vectors) of each occurrence."""
    found: list[tuple[str, int]] = []
    for word, index in vectors:
        if index == 0:
            found.append((word, 0))
        found[-1] = (word, found[-1][1] + 1)
    return found


# Many words


def runs_by_one_pattern(prompt: str, words: dict[str, int]) -> Iterator[list[Piece]]:
    """What `unbroken_runs` is to give, found with a pattern of all words."""
    names = sorted(words, key=len, reverse=True)
    rest = 0
    for match in word_pattern(names).finditer(prompt) if names else ():
        for token in TOKENIZER.tokenize(prompt[rest : match.start()]):
            yield [token]
        assert match.lastindex is not None
        name = names[match.lastindex - 1]
        yield [(name, index) for index in range(words[name])]
        rest = match.end()
    for token in TOKENIZER.tokenize(prompt[rest:]):
        yield [token]


# Letters that are several in another case, or the same as one that looks unlike them
tricky = st.text(
    "iI\u0130\u0131\u0307sS\u017fkK\u212a\u00df\u1e9e\ufb05\ufb06\u00b5\u03bc\u03c2\u03c3\u03a3\u01c5\u0345 -_.2",
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.dictionaries(tricky | st.text(max_size=3), st.integers(1, 3), max_size=20))
def test_words_are_found_as_if_all_were_in_one_pattern(data: st.DataObject, words: dict[str, int]) -> None:
    said = st.sampled_from([*words, "dog"]).flatmap(lambda name: st.sampled_from([name, name.upper(), name.lower()]))
    prompt = " ".join(data.draw(st.lists(said | tricky | st.text(max_size=5), max_size=6)))
    assert list(unbroken_runs(prompt, TOKENIZER, words)) == list(runs_by_one_pattern(prompt, words))


def test_a_word_is_looked_for_in_whatever_letters_a_pattern_takes_for_its_own() -> None:
    every = map(chr, range(sys.maxunicode + 1))
    cased = [{x, x.lower(), x.upper(), x.casefold(), x.title()} for x in every if x.lower() != x or x.upper() != x]
    letters = "".join(sorted(set(chain.from_iterable(chain.from_iterable(cased)))))
    assert len(letters) > 2500
    for letter in letters:
        alike = re.findall(re.escape(letter), letters, re.IGNORECASE)
        assert all(perhaps_said(other, [letter]) for other in alike), (letter, alike)
    assert perhaps_said("A Zonk-like dog", ["zonk", "cat", "LIKE d", "zonklike"]) == ["zonk", "LIKE d"]
