"""Our ids are those of transformers' CLIP tokenizer, for the full vocabulary and for one cut to a prefix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudoword.errors import ModelError
from pseudoword.text import BytePairTokenizer, vocabulary_words
from tests import tiny_models

TEXTS = st.text(max_size=60) | st.lists(
    st.sampled_from(
        ["a photo of", "DOG", "dog's", "don't", "1234", "!!", "…", "é", "<|endoftext|>", "日本", "🐶", "\t", "_x_", ","]
    ),
    max_size=8,
).map(" ".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_models.save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    fast = getattr(transformers, "CLIPTokenizerFast", None) or transformers.CLIPTokenizer
    return fast.from_pretrained(str(folder))


@pytest.fixture(scope="module")
def clip() -> BytePairTokenizer:
    return BytePairTokenizer.clip()


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_any_text_has_the_ids_that_transformers_gives_it(text: str, theirs: Any) -> None:
    assert tiny_models.tokenizer().tokenize(text) == theirs(text, add_special_tokens=False)["input_ids"]


def test_ascii_text_has_the_ids_of_the_tokenizer_that_the_webui_uses(folder: Path) -> None:
    slow = transformers.CLIPTokenizer.from_pretrained(str(folder))
    text = "A photo of a dog's house, (masterpiece:1.2), 4k -- don't!  \n<lora:x:1>"
    assert tiny_models.tokenizer().tokenize(text) == slow(text, add_special_tokens=False)["input_ids"]


def test_the_full_vocabulary_is_clips(clip: BytePairTokenizer) -> None:
    tokenizer = clip
    assert (len(tokenizer), tokenizer.start_id, tokenizer.end_id, tokenizer.pad_id) == (49408, 49406, 49407, 49407)
    assert tokenizer.tokenize("a photo of an astronaut riding a horse") == [320, 1125, 539, 550, 18376, 6765, 320, 4558]
    assert tokenizer.token_text(4558) == "horse</w>"


@given(text=st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=30))
@settings(max_examples=100, deadline=None)
def test_all_ids_lie_in_a_cut_vocabulary(text: str) -> None:
    assert all(0 <= token < tiny_models.VOCABULARY_SIZE for token in tiny_models.tokenizer().tokenize(text))


def test_a_folder_gives_the_same_tokenizer_as_the_list_of_merges(folder: Path) -> None:
    ours, built = BytePairTokenizer.from_folder(folder), tiny_models.tokenizer()
    text = "An unreasonably long description, isn't it?"
    assert ours.tokenize(text) == built.tokenize(text)
    assert (ours.start_id, ours.end_id, len(ours)) == (built.start_id, built.end_id, len(built))


@pytest.mark.parametrize("as_text", [True, False])
def test_a_folder_with_only_a_tokenizer_json_is_read(as_text: bool, folder: Path, tmp_path: Path) -> None:
    merges = tiny_models.merges_prefix()
    listed = [" ".join(merge) for merge in merges] if as_text else [list(merge) for merge in merges]
    model = {"vocab": json.loads((folder / "vocab.json").read_text()), "merges": listed}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model}))
    assert BytePairTokenizer.from_folder(tmp_path).tokenize("some dog") == tiny_models.tokenizer().tokenize("some dog")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocab.json", "{"),
        ("vocab.json", '{"a": 0}'),
        ("vocab.json", None),
        ("merges.txt", None),
        ("merges.txt", "x\na b c\n"),
        ("merges.txt", "x\n☃ ☃\n"),
    ],
)
def test_a_broken_folder_is_refused(name: str, content: str | None, folder: Path, tmp_path: Path) -> None:
    for source in ("vocab.json", "merges.txt"):
        (tmp_path / source).write_bytes((folder / source).read_bytes())
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=str(tmp_path)):
        BytePairTokenizer.from_folder(tmp_path)


def test_a_token_shows_the_text_it_stands_for(clip: BytePairTokenizer) -> None:
    assert [clip.token_text(token) for token in clip.tokenize("é the")] == ["é</w>", "the</w>"]
    tokenizer = tiny_models.tokenizer()
    assert tokenizer.token_text(tokenizer.tokenize("日")[0]) == "�"
    assert tokenizer.token_text(tokenizer.end_id) == "<|endoftext|>"
    assert all(tokenizer.token_text(token) for token in range(len(tokenizer)))


def test_vocabulary_words_are_whole_words_of_letters_that_are_one_token() -> None:
    tokenizer = tiny_models.tokenizer()
    words = vocabulary_words(tokenizer)
    assert (tokenizer.tokenize("photo")[0], "photo") in words
    assert all(len(word) >= 3 and word.isalpha() for _, word in words)
    whole = [word for token, word in words if tokenizer.tokenize(word) == [token]]
    assert len(whole) > 0.95 * len(words)
