"""Tables hold what the figures hold, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import pytest
import torch

from pseudoword.inspect import tables
from pseudoword.inspect.csv_text import csv_text
from pseudoword.inspect.figures import figures_of, relations_of
from pseudoword.inspect.health import findings_of
from pseudoword.inspect.layers import layer_figures
from pseudoword.inspect.maps import plane_of, word_map
from pseudoword.inspect.vocabulary import Vocabulary
from tests import tiny_models
from tests.inspect.words import random_rows, tiny_vocabulary, word


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


VOCABULARY = tiny_vocabulary()
EMBEDDING = word(torch.cat([random_rows(2, seed=3), torch.zeros(1, 32)]))
FIGURES = figures_of(EMBEDDING, [VOCABULARY], count=4)


def test_figures_are_written_to_the_last_digit() -> None:
    header, *rows = read(tables.norms_table(FIGURES))
    assert header[:4] == ["encoder", "vector", "norm", "norm_percentile"] and len(rows) == 3
    for row, vector in zip(rows, FIGURES.encoders["clip_l"].vectors, strict=True):
        assert (row[0], int(row[1]), float(row[2])) == ("clip_l", vector.number, vector.norm)


def test_every_near_token_has_a_row() -> None:
    header, *rows = read(tables.nearest_table(FIGURES))
    assert len(header) == 8 and len(rows) == 2 * 3 * 4 + 4  # zeros have neighbours by distance alone
    first = FIGURES.encoders["clip_l"].vectors[0].nearest["cosine"][0]
    assert rows[0][2:5] == ["cosine", "1", str(first.token_id)] and float(rows[0][7]) == first.figure


def test_the_other_tables_have_a_row_for_each_thing() -> None:
    found = FIGURES.encoders["clip_l"]
    assert len(read(tables.similarity_table(found))) == 4
    others = [("=moon", word(random_rows(1))), ("wider", word(torch.ones(1, 33)))]
    assert [row[2] for row in read(tables.relations_table(relations_of(EMBEDDING, others)))[1:]] == ["'=moon", "wider"]
    assert [row[1] for row in read(tables.findings_table(findings_of(FIGURES)))] == ["kind", "dead"]
    places = read(tables.map_table(word_map(EMBEDDING, found, VOCABULARY, plane_of(VOCABULARY), others)))
    assert {row[0] for row in places[1:]} == {"vector", "token", "other"}
    layers = read(tables.layers_table(layer_figures(tiny_models.TinyModel().text_encoders[0], EMBEDDING)))
    assert len(layers) == 1 + 3 * 3 and layers[1][:3] == ["1", "3", "1"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1", " =1", "\n=1"])
def test_a_token_that_would_be_a_formula_gets_an_apostrophe(text: str) -> None:
    vocabulary = Vocabulary("clip_l", torch.eye(2), (text + "</w>", 'a "quoted", token'))
    rows = read(tables.nearest_table(figures_of(word(torch.eye(2)), [vocabulary], count=2)))
    assert {row[5] for row in rows[1:]} == {"'" + text, 'a "quoted", token'}


def test_negative_numbers_stay_numbers() -> None:
    assert csv_text(["a", "b"], [[-0.5, None]]) == "a,b\r\n-0.5,\r\n"
