"""What is wrong with a word is found, told once, and told with what to do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pseudoword.inspect.figures import figures_of
from pseudoword.inspect.health import LEVELS, Finding, findings_of
from tests.inspect.words import random_rows, vocabulary_of, word

VOCABULARY = vocabulary_of(random_rows(400))
USUAL = float(VOCABULARY.norms.mean())
LONGEST = float(VOCABULARY.norms.max())
SHORTEST = float(VOCABULARY.norms.min())


def findings(rows: Tensor) -> list[Finding]:
    return list(findings_of(figures_of(word(rows), [VOCABULARY])))


def of_length(*lengths: float) -> Tensor:
    rows = random_rows(len(lengths), seed=9)
    return rows / rows.norm(dim=1, keepdim=True) * torch.tensor(lengths)[:, None]


def test_a_usual_word_has_no_findings() -> None:
    assert findings(of_length(USUAL, 0.9 * USUAL, LONGEST)) == []


@pytest.mark.parametrize(
    ("length", "level", "kind"),
    [
        (0.0, "problem", "dead"),
        (0.009 * USUAL, "problem", "dead"),
        (0.6 * SHORTEST, "warning", "outside"),
        (1.6 * LONGEST, "warning", "outside"),
        (10.5 * LONGEST, "problem", "exploded"),
    ],
)
def test_unusual_lengths_are_found(length: float, level: str, kind: str) -> None:
    (found,) = findings(of_length(USUAL, length))
    assert (found.level, found.kind, found.encoder, found.vector) == (level, kind, "clip_l", 2)
    assert found.sentence.startswith("Vector 2 has length ") and "; " in found.sentence


def test_a_copy_of_a_token_is_named() -> None:
    (found,) = findings(VOCABULARY.vectors[17:18] * 1.1)
    assert (found.level, found.kind, found.vector) == ("note", "token copy", 1)
    assert "the token 'w17' (cosine 1.000)" in found.sentence


def test_each_duplicate_is_told_of_once_with_the_first_it_repeats() -> None:
    rows = of_length(USUAL, USUAL)[[0, 1, 0, 0]] * torch.tensor([[1.0], [1.0], [1.1], [0.9]])
    found = findings(rows)
    assert [(one.kind, one.vector) for one in found] == [("duplicate", 3), ("duplicate", 4)]
    assert all("vector 1 does" in one.sentence for one in found)


def test_zeros_are_dead_and_no_duplicates_of_each_other() -> None:
    assert [one.kind for one in findings(torch.zeros(2, 32))] == ["dead", "dead"]


@pytest.mark.parametrize(("count", "level"), [(16, None), (17, "note"), (37, "note"), (38, "warning"), (80, "warning")])
def test_many_vectors_are_told_of(count: int, level: str | None) -> None:
    found = [one for one in findings(of_length(*[USUAL] * count)) if one.kind == "many vectors"]
    assert [one.level for one in found] == ([] if level is None else [level])
    assert all(one.vector is None and one.encoder is None and f"{count} " in one.sentence for one in found)


def test_problems_come_first_and_every_finding_is_one_sentence() -> None:
    rows = torch.cat([VOCABULARY.vectors[:1], of_length(*[USUAL] * 20, 1.6 * LONGEST, 0.0)])
    found = findings(rows)
    ranks = [LEVELS.index(one.level) for one in found]
    assert ranks == sorted(ranks) and len({one.kind for one in found}) == 4
    for one in found:
        assert one.sentence.endswith(".") and ". " not in one.sentence
