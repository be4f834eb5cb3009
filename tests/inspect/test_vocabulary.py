"""Nearest tokens are those that a plain search in float64 finds, with its figures, for easy and for awkward vectors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pseudoword.errors import ModelError, SettingsError
from pseudoword.inspect import nearest_rows
from pseudoword.inspect.nearest_rows import MEASURES, Measure, Ranking, Rows
from pseudoword.inspect.vocabulary import Vocabulary
from tests import tiny_models
from tests.inspect.words import plain_figures, plain_order, random_rows, tiny_vocabulary, vocabulary_of


def expect_as_plain(vocabulary: Vocabulary, queries: Tensor, count: int, measure: Measure) -> None:
    """The answer has the right figures in the right order; tokens whose exact figures are alike may change places."""
    figures = plain_figures(queries, vocabulary.vectors, measure)
    found = vocabulary.nearest(queries, count, measure)
    for query, neighbours, all_figures in zip(queries, found, figures, strict=True):
        if measure != "distance" and not query.any():
            assert neighbours == ()
            continue
        expected = all_figures[plain_order(all_figures, measure)[:count]]
        scale = max(1.0, float(all_figures.abs().max()))
        assert len({one.token_id for one in neighbours}) == len(neighbours) == len(expected)
        for one, figure in zip(neighbours, expected.tolist(), strict=True):
            assert one.figure == pytest.approx(figure, abs=1e-12 * scale, rel=1e-12)
            assert one.figure == pytest.approx(float(all_figures[one.token_id]), abs=1e-12 * scale, rel=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("length", [1e-30, 1e-3, 0.4, 30.0, 1e6])
def test_the_nearest_of_a_large_vocabulary_are_those_of_a_plain_search(measure: Measure, length: float) -> None:
    vocabulary = vocabulary_of(random_rows(6000, 96))
    queries = random_rows(9, 96, seed=1)
    queries = torch.cat([queries / queries.norm(dim=1, keepdim=True) * length, vocabulary.vectors[7:8] + 1e-6])
    expect_as_plain(vocabulary, queries, 12, measure)


@pytest.mark.parametrize("measure", MEASURES)
def test_distances_keep_their_digits_where_squares_would_cancel(measure: Measure) -> None:
    far = 1000 + random_rows(4000, 16)  # all squares are about 16 million, all distances below 2
    expect_as_plain(vocabulary_of(far), far[:5] + 1e-3, 10, measure)


@pytest.mark.parametrize("measure", MEASURES)
def test_more_equal_tokens_than_candidates_come_in_the_order_of_their_ids(measure: Measure) -> None:
    rows = random_rows(9000, 8)
    rows[3::3] = 5 * rows[3].clone()  # longer than all others: the highest product, too
    found = vocabulary_of(rows).nearest(rows[3:4], 40, measure)[0]
    assert [one.token_id for one in found] == list(range(3, 123, 3))
    assert len({one.figure for one in found}) == 1


@pytest.mark.parametrize("measure", MEASURES)
def test_many_vectors_and_all_tokens_are_looked_up_in_pieces(measure: Measure, monkeypatch: Any) -> None:
    vocabulary, queries = vocabulary_of(random_rows(300)), random_rows(20, seed=1)
    at_once = vocabulary.nearest(queries, 300, measure)
    monkeypatch.setattr(nearest_rows, "QUERIES", 7)
    monkeypatch.setattr(nearest_rows, "COMPUTED", 64)
    assert vocabulary.nearest(queries, 300, measure) == at_once
    expect_as_plain(vocabulary, queries, 300, measure)


def test_the_highest_numbers_are_those_of_topk() -> None:
    rows = Rows(random_rows(5003, 8))  # no multiple of the block
    product = random_rows(6, 5003, seed=2)
    ranking = Ranking(rows, product, torch.ones(6, 1, dtype=torch.float64), "dot")
    values, ids = ranking.highest(20)
    assert torch.equal(values, product.topk(20, dim=1).values)
    assert torch.equal(product.gather(1, ids), values)


small = st.integers(-3, 3).map(float)


@given(data=st.data(), width=st.integers(1, 3), tokens=st.integers(1, 12), count=st.integers(1, 15))
def test_order_and_ties_of_small_vocabularies(data: st.DataObject, width: int, tokens: int, count: int) -> None:
    rows = st.lists(small, min_size=width, max_size=width)
    vocabulary = vocabulary_of(torch.tensor(data.draw(st.lists(rows, min_size=tokens, max_size=tokens))))
    queries = torch.tensor(data.draw(st.lists(rows, min_size=1, max_size=4)))
    for measure in MEASURES:
        expect_as_plain(vocabulary, queries, count, measure)
        for neighbours in vocabulary.nearest(queries, count, measure):
            for place, one in enumerate(neighbours):  # equal tokens before it have lower ids
                equal = (vocabulary.vectors[: one.token_id] == vocabulary.vectors[one.token_id]).all(dim=1)
                before = {other.token_id for other in neighbours[:place]}
                assert set(equal.nonzero()[:, 0].tolist()) <= before


@given(scale=st.floats(1e-20, 1e20), seed=st.integers(0, 1000))
def test_the_length_of_a_vector_changes_nothing_for_the_cosine(scale: float, seed: int) -> None:
    vocabulary, queries = vocabulary_of(random_rows(50, 4)), random_rows(2, 4, seed).double()
    longer = vocabulary.nearest(queries * scale, 5)
    for ours, theirs in zip(vocabulary.nearest(queries, 5), longer, strict=True):
        assert [one.figure for one in ours] == pytest.approx([one.figure for one in theirs], abs=1e-12)


def test_all_measures_at_once_are_each_alone() -> None:
    vocabulary, queries = tiny_vocabulary(), random_rows(5, seed=4)
    together = vocabulary.nearest_by_each(queries, 6)
    assert together == {measure: vocabulary.nearest(queries, 6, measure) for measure in MEASURES}


def test_start_and_end_are_listed_and_can_be_left_out() -> None:
    vocabulary = tiny_vocabulary()
    start, end = tiny_models.VOCABULARY_SIZE - 2, tiny_models.VOCABULARY_SIZE - 1
    assert vocabulary.specials == (start, end) and vocabulary.texts[start] == "<|startoftext|>"
    queries = vocabulary.vectors[[start, end]]
    for measure in MEASURES:
        everything = vocabulary.nearest(queries, len(vocabulary), measure)
        assert all(len(row) == len(vocabulary) for row in everything)
        others = vocabulary.nearest(queries, len(vocabulary), measure, with_specials=False)
        assert all({one.token_id for one in row} == set(range(start)) for row in others)
    assert [row[0].token_id for row in vocabulary.nearest(queries, 1)] == [start, end]


def test_a_token_has_its_text_and_says_whether_it_ends_a_word() -> None:
    vocabulary = tiny_vocabulary()
    (dog,) = tiny_models.tokenizer().tokenize("dog")
    found = vocabulary.nearest(vocabulary.vectors[dog : dog + 1], 1, "distance")[0][0]
    assert (found.token_id, found.text, found.ends_word, found.figure) == (dog, "dog", True, 0.0)
    assert not vocabulary.neighbour(65, 0.0).ends_word
    assert len(vocabulary) == tiny_models.VOCABULARY_SIZE and vocabulary.width == tiny_models.WIDTH


def test_tokens_that_the_tokenizer_does_not_know_are_listed_by_their_number() -> None:
    rows = random_rows(tiny_models.VOCABULARY_SIZE + 1)
    vocabulary = Vocabulary.of_tensor("clip_l", rows, tiny_models.tokenizer())
    assert vocabulary.texts[-1] == f"<|{tiny_models.VOCABULARY_SIZE}|>"


def test_it_is_a_copy_in_float32() -> None:
    rows = random_rows(10).half()
    vocabulary = vocabulary_of(rows)
    before = rows.float()
    rows.zero_()
    assert vocabulary.vectors.dtype == torch.float32 and vocabulary.vectors.is_contiguous()
    assert torch.equal(vocabulary.vectors, before)
    assert torch.allclose(vocabulary.norms, before.double().norm(dim=1))


def test_percentiles_count_the_shorter_ones_and_half_of_the_equal_ones() -> None:
    vocabulary = vocabulary_of(torch.tensor([[1.0], [2.0], [2.0], [4.0]]))
    percentiles = vocabulary.norm_percentiles(torch.tensor([0.0, 1.0, 2.0, 3.0, 9.0]))
    assert percentiles.tolist() == [0.0, 12.5, 50.0, 75.0, 100.0]


def test_what_cannot_be_looked_up_is_refused() -> None:
    vocabulary = tiny_vocabulary()
    with pytest.raises(ModelError, match="shape \\(1, 31\\).*32 wide"):
        vocabulary.nearest(torch.ones(1, 31))
    with pytest.raises(SettingsError, match="not finite"):
        vocabulary.nearest(torch.full((1, 32), torch.nan))
    with pytest.raises(SettingsError, match="1 or more"):
        vocabulary.nearest(torch.ones(1, 32), 0)
    with pytest.raises(SettingsError, match="'angle'.*cosine, dot, distance"):
        vocabulary.nearest_by_each(torch.ones(1, 32), 1, ["angle"])  # type: ignore[list-item]


@pytest.mark.parametrize("rows", [torch.ones(3), torch.ones(2, 4), torch.full((3, 4), torch.inf)])
def test_what_is_no_vocabulary_is_refused(rows: Tensor) -> None:
    with pytest.raises(ModelError):
        Vocabulary("clip_l", rows, ("a", "b", "c"))
