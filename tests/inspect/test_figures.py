"""Figures of a word: against the vocabulary, its own vectors and other words."""

from __future__ import annotations

import pytest
import torch

from pseudoword.embedding import Embedding
from pseudoword.errors import ModelError
from pseudoword.inspect.figures import cosines, figures_of, relations_of
from pseudoword.inspect.nearest_rows import MEASURES
from tests.inspect.words import random_rows, tiny_vocabulary, vocabulary_of, word


def test_every_vector_has_its_norm_its_place_and_its_nearest_tokens() -> None:
    vocabulary = vocabulary_of(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 4.0]]))
    figures = figures_of(word(torch.tensor([[2.5, 0.0], [0.0, 9.0]])), [vocabulary], count=2)
    found = figures.encoders["clip_l"]
    assert figures.name == "zonk" and figures.vector_count == 2
    assert [one.number for one in found.vectors] == [1, 2]
    assert [one.norm for one in found.vectors] == [2.5, 9.0]
    assert [one.norm_percentile for one in found.vectors] == [50.0, 100.0]
    usual = found.vocabulary_norms
    assert (usual.mean, usual.shortest, usual.longest) == (2.5, 1.0, 4.0)
    assert usual.deviation == pytest.approx(1.25**0.5)
    nearest = found.vectors[0].nearest
    assert set(nearest) == set(MEASURES)
    assert [one.text for one in nearest["cosine"]] == ["w0", "w2"]
    assert [(one.text, one.figure) for one in nearest["dot"]] == [("w2", 7.5), ("w0", 2.5)]
    assert [(one.text, one.figure) for one in nearest["distance"]] == [("w2", 0.5), ("w0", 1.5)]


def test_similarity_is_the_cosine_of_each_vector_with_each() -> None:
    rows = torch.cat([random_rows(3), torch.zeros(1, 32)])
    found = figures_of(word(rows), [tiny_vocabulary()]).encoders["clip_l"].similarity
    expected = torch.nn.functional.cosine_similarity(rows[:, None].double(), rows[None].double(), dim=2)
    assert torch.allclose(found, expected, atol=1e-12) and torch.equal(found, found.T)
    assert not found[3].any()


def test_both_encoders_of_sdxl_have_figures() -> None:
    embedding = Embedding("zonk", {"clip_l": random_rows(2, 4), "clip_g": random_rows(2, 6)})
    vocabularies = [vocabulary_of(random_rows(9, 4), "clip_l"), vocabulary_of(random_rows(9, 6), "clip_g")]
    assert list(figures_of(embedding, vocabularies).encoders) == ["clip_l", "clip_g"]
    with pytest.raises(ModelError, match="clip_g 6 wide, and this model has clip_l 4 wide; load"):
        figures_of(embedding, vocabularies[:1])


def test_a_word_of_another_width_is_refused() -> None:
    with pytest.raises(ModelError, match="'zonk' has vectors for clip_l 5 wide.*clip_l 4 wide"):
        figures_of(word(random_rows(1, 5)), [vocabulary_of(random_rows(9, 4))])


def test_other_words_come_by_the_cosine_of_their_means() -> None:
    ours = word(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    others = [
        ("opposite", word(torch.tensor([[-1.0, -1.0]]))),
        ("b-alike", word(torch.tensor([[3.0, 3.0], [2.0, 2.0]]))),
        ("A-alike", word(torch.tensor([[5.0, 0.0], [0.0, 5.0], [1.0, 1.0]]))),
        ("nothing", word(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))),
        ("wider", word(torch.tensor([[1.0, 0.0, 0.0]]))),
        ("elsewhere", word(torch.tensor([[1.0, 0.0]]), encoder="open_clip_h")),
    ]
    relations = relations_of(ours, others)
    found = relations.by_encoder["clip_l"]
    assert [one.name for one in found] == ["A-alike", "b-alike", "nothing", "opposite"]
    assert [one.mean_cosine for one in found] == pytest.approx([1.0, 1.0, 0.0, -1.0])
    assert (found[2].best_cosine, found[2].own_vector, found[2].its_vector) == (1.0, 1, 1)
    assert found[3].best_cosine == pytest.approx(-(0.5**0.5))
    assert relations.left_out == ("wider", "elsewhere")
    assert [one.name for one in relations_of(ours, others, 1).by_encoder["clip_l"]] == ["A-alike"]
    assert relations_of(ours, []).by_encoder == {"clip_l": ()}


def test_the_best_pair_is_numbered_from_one() -> None:
    ours = word(torch.eye(3))
    (found,) = relations_of(ours, [("it", word(torch.eye(3)[[2]] * torch.tensor(7.0)))]).by_encoder["clip_l"]
    assert (found.best_cosine, found.own_vector, found.its_vector) == (1.0, 3, 1)


def test_cosines_are_never_beyond_one() -> None:
    rows = random_rows(200, 5)
    assert float(cosines(rows, rows).abs().max()) <= 1.0
