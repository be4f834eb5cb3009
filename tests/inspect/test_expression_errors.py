"""What an expression that is wrong is answered: the sentence, and the place that the caret shows."""

from __future__ import annotations

import re

import pytest
import torch

from pseudoword.diffusion import TextEncoder
from pseudoword.embedding import Embedding
from pseudoword.errors import EmbeddingFileError, SettingsError
from pseudoword.inspect.arithmetic import evaluate
from pseudoword.text import ClipTextEncoder
from tests import tiny_models

ENCODER: TextEncoder = ClipTextEncoder(tiny_models.text_model(), tiny_models.tokenizer())
WIDTH = tiny_models.WIDTH


def ones(count: int, width: int = WIDTH) -> torch.Tensor:
    return torch.ones(count, width)


WORDS = {
    "my-style": Embedding("my-style", {"clip_l": ones(4)}),
    "three": Embedding("three", {"clip_l": ones(3)}),
    "full": Embedding("full", {"clip_l": ones(75)}),
    "huge": Embedding("huge", {"clip_l": ones(301)}),
    "my style v2": Embedding("my style v2", {"clip_l": ones(2)}),
    "xl": Embedding("xl", {"clip_l": ones(2), "clip_g": ones(2, 48)}),
    "sd2": Embedding("sd2", {"open_clip_h": ones(2, 40)}),
    "wide": Embedding("wide", {"clip_l": ones(2, 768)}),
    "empty": Embedding("empty", {"clip_l": 0 * ones(1)}),
}


def message(expression: str) -> str:
    with pytest.raises(SettingsError) as caught:
        evaluate(expression, [ENCODER], WORDS)
    return str(caught.value)


# In each expression the place of the caret is marked by ▸.
CASES = [
    ("▸", "The expression is empty; write for example"),
    ("▸  ", "The expression is empty"),
    # what cannot be read
    ('dog + ▸"cat', 'This phrase is not closed; put " after its last word'),
    ("▸{my-style", "This name is not closed; put } after it"),
    ("dog ▸}", "This brace closes nothing"),
    ("dog ▸\\ cat", "A backslash has a meaning only in quotation marks"),
    ("{a▸\ud800}", "half of a character"),
    ("▸1e999*dog", "This number is too large"),
    # what does not belong together
    ("dog ▸cat", r"Found 'cat' where there must be \+, -, \* or / \(names with spaces belong in {braces}"),
    ('dog ▸"cat"', "Found 'cat' where there must be"),
    ("dog + ▸", r"The expression ends where there must be a word, a number or \("),
    ("dog + ▸* cat", r"Found '\*' where there must be a word"),
    ("▸+ dog", r"Found '\+' where there must be a word"),
    ("dog▸)", r"Found '\)' where"),
    ("(dog + cat▸", r"The expression ends where there must be \) for the \( at character 1"),
    ("mean(dog▸]", r"Found '\]' where there must be \) for the \( at character 5"),
    ("dog[0▸", r"The expression ends where there must be \] for the \[ at character 4"),
    ("dog[▸]", "Found ']' where there must be the number of a vector, such as 0, or two with a colon"),
    ("dog[▸x]", "Found 'x' where there must be a whole number"),
    ("dog[▸1.5]", "Found '1.5' where there must be a whole number"),
    ("dog[0:1:1▸:1]", r"Found ':' where there must be \]"),
    ("dog[-▸]", "Found ']' where there must be a whole number"),
    ("dog[▸1234567890]", "a whole number"),
    # functions
    ("▸meen(dog)", r"There is no function 'meen'; did you mean mean\?"),
    ("▸qqqqq(dog)", "There is no function 'qqqqq'; there are concat, mean, normalize, slerp"),
    ("mean(▸)", r"Found '\)' where there must be a word"),
    ("mean(dog,▸)", r"Found '\)' where there must be a word"),
    ("▸slerp(dog, cat)", "slerp takes 3 arguments, and here it has 2"),
    ("▸normalize(dog, cat)", "normalize takes 1 argument, and here it has 2"),
    ("slerp(dog, the, ▸1.01)", r"The share 1.01 is not on the way; put a number from 0 \(the first word\) to 1"),
    ("slerp(dog, the, ▸-1)", "The share -1 is not on the way"),
    ("slerp(dog, the, ▸dog)", "This is a word where a number must be"),
    ("slerp(dog, ▸1, 1)", "This is the number 1 where a word must be"),
    ("slerp(my-style, ▸three, 1)", "4 and 3 vectors do not go together"),
    ("mean(dog, ▸1)", "This is the number 1 where a word must be"),
    ("mean(my-style, ▸three)", "4 and 3 vectors do not go together"),
    ("concat(▸1)", "This is the number 1 where a word must be"),
    ("▸normalize(empty)", "A vector of zeros has no direction"),
    # names
    ("2 * ▸my-stile", "no embedding or word of the vocabulary 'my-stile'; the nearest are my-style, .*; a minus wants"),
    ("▸{my stile}", "There is no embedding 'my stile'; the nearest are my.style"),
    ("▸{dog}", "There is no embedding 'dog'"),
    ("▸{}", "There is no embedding ''"),
    ("▸photograf", "word of the vocabulary 'photograf'; the nearest (is|are) .*photo.*; text of several tokens"),
    ("▸dog-cat", "a minus wants spaces around it"),
    ('▸"" + dog', "This phrase is empty"),
    ('▸"  "', "This phrase is empty"),
    # numbers and words
    ("▸3", "This is the number 3 where a word must be"),
    ("▸2*(3 + 1)", "This is the number 8 where a word must be"),
    ("dog - ▸1", "This is a number where a word must be: the other side is a word"),
    ("▸1 + 2 + dog", "This is a number where a word must be: the other side is a word"),
    ("dog ▸* the", "Two words cannot be multiplied"),
    ("2 / ▸dog", "Nothing can be divided by a word"),
    ("dog / ▸dog", "Nothing can be divided by a word"),
    ("dog / ▸0", "Nothing can be divided by 0"),
    ("dog / (▸1 - 1)", "Nothing can be divided by 0"),
    ("▸2[0]", "This is the number 2 where a word must be"),
    # numbers of vectors
    ("my-style ▸+ three", r"4 and 3 vectors do not go together; make their numbers equal with \[:3\], or one of them"),
    ("dog + my-style ▸- three", "4 and 3 vectors do not go together"),
    ("my-style▸[4]", r"There is no vector 4: the word has 4 vectors, \[0\] to \[3\]"),
    ("my-style▸[-5]", "There is no vector -5"),
    ("my-style[0]▸[1]", r"There is no vector 1: the word has 1 vector, \[0\]"),
    ("my-style▸[4:]", r"This slice takes nothing: the word has 4 vectors, \[0\] to \[3\]"),
    ("my-style▸[2:1]", "This slice takes nothing"),
    ("my-style▸[::0]", "The step of a slice cannot be 0"),
    ("▸concat(full, dog)", r"This gives 76 vectors, and a word has at most 75; take some with \[0:75\]"),
    ("concat(full, full, full, full, ▸dog)", "too many vectors: no part of an expression has more than 300"),
    ("▸huge[0]", "These are 301 vectors, and no part of an expression has more than 300"),
    # sizes
    ("(" * 51 + "▸dog", "more than 50 brackets, functions and signs inside each other"),
    ("-" * 51 + "▸dog", "more than 50 brackets"),
    ("▸1e300*1e300*dog", "This gives numbers that are not finite"),
    ("1*(▸1e300*my-style*1e300)", "This gives numbers that are not finite"),
    ("▸dog * 1e200", "too large for a file of embeddings"),
    # other models
    (
        "dog + ▸xl",
        "'xl' is for Stable Diffusion XL .clip_l 32 wide and clip_g 48 wide., and this model wants clip_l 32",
    ),
    ("▸sd2", "'sd2' is for Stable Diffusion 2 .open_clip_h 40 wide., and this model wants clip_l 32 wide"),
    ("▸wide", "'wide' is for Stable Diffusion 1 .clip_l 768 wide., and this model wants clip_l 32 wide"),
]


@pytest.mark.parametrize(("marked", "wanted"), CASES, ids=lambda text: text[:40])
def test_each_error_says_what_is_wrong_and_shows_where(marked: str, wanted: str) -> None:
    place, expression = marked.index("▸"), marked.replace("▸", "")
    sentence, shown, caret = message(expression).split("\n")
    assert re.match(f".*{wanted}", sentence) and sentence.endswith((".", "?"))
    assert shown == re.sub("[\ud800-\udfff]", " ", expression) and caret == " " * place + "^"


def test_an_expression_that_is_too_long_is_shown_from_there_on() -> None:
    sentence, shown, caret = message("a" * 3000).split("\n")
    assert sentence == "The expression has 3,000 characters; at most 2,000 are read."
    assert shown == "…" + "a" * 100 + "…" and caret == " " * 51 + "^"


def test_the_caret_stands_below_its_place_after_wide_and_combining_letters() -> None:
    *_, caret = message('"日本" + "e\u0301" x').split("\n")
    assert caret == " " * (len('"日本" + "e" ') + 2) + "^"


def test_line_breaks_do_not_break_the_message() -> None:
    sentence, shown, caret = message("dog +\n\tcat cat").split("\n")
    assert shown == "dog +  cat cat" and caret == " " * 11 + "^"


def test_an_embedding_that_cannot_be_loaded_says_so_itself() -> None:
    class Broken:
        def names(self) -> list[str]:
            return ["gone"]

        def load(self, name: str) -> Embedding:
            raise EmbeddingFileError("gone.pt is damaged.")

    with pytest.raises(EmbeddingFileError, match="damaged"):
        evaluate("dog + gone", [ENCODER], Broken())


def test_more_than_50_embeddings_are_refused_at_the_51st() -> None:
    words = {f"w{number}": Embedding("w", {"clip_l": ones(1)}) for number in range(51)}
    with pytest.raises(SettingsError, match="This is embedding 51; at most 50 are combined") as caught:
        evaluate(" + ".join(words), [ENCODER], words)
    assert str(caught.value).endswith("^")


def test_text_that_is_not_the_same_for_both_encoders_is_refused() -> None:
    class Letters:
        start_id, end_id, pad_id = 0, 1, 1

        def tokenize(self, text: str) -> list[int]:
            return [ord(letter) for letter in text]

        def token_text(self, token_id: int) -> str:
            return chr(token_id)

    other: TextEncoder = ClipTextEncoder(tiny_models.text_model(), Letters(), "clip_g")
    with pytest.raises(SettingsError, match="a different number of tokens for each text encoder, 1 of clip_l, 3 of"):
        evaluate('"dog"', [ENCODER, other], {})
