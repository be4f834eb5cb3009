"""The map is the same each time, shows what varies most, and names the right points."""

from __future__ import annotations

import pytest
import torch

from pseudoword.inspect.figures import directions, figures_of
from pseudoword.inspect.label_places import Box, label_boxes
from pseudoword.inspect.maps import frequent_tokens, plane_of, with_fixed_signs, word_map
from tests.inspect.words import random_rows, tiny_vocabulary, vocabulary_of, word


def test_the_plane_holds_the_two_largest_components() -> None:
    vocabulary = tiny_vocabulary()
    plane = plane_of(vocabulary)
    sample = directions(vocabulary.vectors[frequent_tokens(vocabulary)])
    centred = sample - sample.mean(dim=0)
    variances = torch.linalg.svdvals(centred).square()
    assert torch.allclose(plane.shares, variances[:2] / variances.sum())
    assert torch.allclose(plane.sample.square().sum(dim=0), variances[:2])
    assert torch.allclose(plane.axes @ plane.axes.T, torch.eye(2, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(plane.sample, plane.positions(vocabulary.vectors[frequent_tokens(vocabulary)]))


def test_it_is_the_same_each_time_and_its_signs_are_fixed() -> None:
    first, second = plane_of(tiny_vocabulary()), plane_of(tiny_vocabulary())
    assert torch.equal(first.sample, second.sample) and torch.equal(first.axes, second.axes)
    turned = with_fixed_signs(torch.tensor([[0.1, -3.0, 2.0], [1.0, -0.5, 0.0]]))
    assert turned.tolist() == torch.tensor([[-0.1, 3.0, -2.0], [1.0, -0.5, 0.0]]).tolist()
    assert (first.axes.gather(1, first.axes.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_frequent_tokens_are_whole_words_in_the_order_of_their_merges() -> None:
    vocabulary = tiny_vocabulary()
    texts = [vocabulary.texts[token_id] for token_id in frequent_tokens(vocabulary)]
    assert {"the</w>", "dog</w>"} < set(texts) and all(text.endswith("</w>") for text in texts)
    assert frequent_tokens(vocabulary).tolist() == sorted(frequent_tokens(vocabulary).tolist())
    assert frequent_tokens(vocabulary_of(random_rows(9), specials=[8])).tolist() == list(range(8))


def test_the_length_of_a_vector_does_not_move_it() -> None:
    plane, rows = plane_of(tiny_vocabulary()), random_rows(3)
    assert torch.allclose(plane.positions(rows), plane.positions(50 * rows))


def test_a_word_is_placed_with_its_nearest_tokens_and_other_words() -> None:
    vocabulary = tiny_vocabulary()
    rows = torch.cat([vocabulary.vectors[[700, 900]] * 3, torch.zeros(1, 32)])
    others = [("same", word(rows[:1])), ("wider", word(torch.ones(1, 33))), ("empty", word(torch.zeros(1, 32)))]
    embedding = word(rows)
    figures = figures_of(embedding, [vocabulary]).encoders["clip_l"]
    found = word_map(embedding, figures, vocabulary, plane_of(vocabulary), others)
    assert [place.label for place in found.vectors] == ["1", "2"]  # zeros point nowhere
    assert [place.label for place in found.others] == ["same"]
    assert found.others[0].x == pytest.approx(found.vectors[0].x)
    assert found.others[0].y == pytest.approx(found.vectors[0].y)
    assert len(found.tokens) == 6
    copied = found.tokens[0]
    assert copied.label == vocabulary.neighbour(700, 1.0).text
    assert abs(copied.x - found.vectors[0].x) < 1e-6 and abs(copied.y - found.vectors[0].y) < 1e-6


def test_words_of_many_vectors_have_one_token_each() -> None:
    vocabulary, embedding = tiny_vocabulary(), word(random_rows(9))
    figures = figures_of(embedding, [vocabulary]).encoders["clip_l"]
    assert len(word_map(embedding, figures, vocabulary, plane_of(vocabulary)).tokens) <= 9


def test_labels_neither_overlap_nor_leave_the_frame() -> None:
    frame = Box(0, 0, 200, 100)
    points = [(30.0, float(x), float(x % 90)) for x in range(0, 200, 7)]
    mark = Box(90, 40, 110, 60)
    boxes = [box for box in label_boxes(points, frame, 9, [mark]) if box is not None]
    assert 5 < len(boxes) < len(points)
    assert all(box.lies_in(frame) and not box.overlaps(mark) for box in boxes)
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
