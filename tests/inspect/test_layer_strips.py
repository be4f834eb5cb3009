"""A prompt with different layers: what is compared, how it is scored, and when a layer is recommended."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

import pytest
import torch
from PIL import Image
from torch import Tensor

from pseudoword.errors import SettingsError
from pseudoword.inspect.canvas import THEMES, ThemeName
from pseudoword.inspect.layer_scores import LayerScores, beyond, layer_scores, scores_table
from pseudoword.inspect.layer_scores_plot import layer_scores_plot
from pseudoword.inspect.strips import Row, layers_row
from pseudoword.text.layer_choice import one_layer
from pseudoword.text.layer_list import layer_list
from tests.inspect.words import random_rows

PROMPT = "a (red:1.3) cat, [by] zonk BREAK <lora:x:0.5>"


def row_of(layers: str, prompt: str = PROMPT) -> Row:
    words = {"zonk": {"clip_l": random_rows(2)}, "moon": {"clip_l": random_rows(1)}}
    return layers_row(prompt, words, layer_list(layers, [12]), "ugly")


def scored(row: Row, *scores: Sequence[float]) -> LayerScores:
    """The figures of pictures with these scores, for each choice a score for each seed."""
    texts: list[str] = []

    def features_of_text(asked: Sequence[str]) -> Tensor:
        texts.extend(asked)
        return torch.tensor([[1.0, 0.0]])

    features = [torch.tensor([[score, math.sqrt(1 - score**2)] for score in by_seed]) for by_seed in scores]
    found = layer_scores(row, range(len(scores[0])), features, features_of_text)
    assert found is not None and texts == ([found.read] if found.read else [])
    return found


# ---- what is compared -----------------------------------------------------------------------------------------------


def test_each_picture_has_layers_of_its_own_and_the_last_one_is_what_they_are_compared_with() -> None:
    row = row_of("2; 1; 1=0.5,2=0.5")
    assert [shot.label for shot in row.shots] == ["CLIP skip 2", "CLIP skip 1, the last layer", "blend 1=0.5, 2=0.5"]
    assert [shot.layers and shot.layers.text for shot in row.shots] == ["2", "1", "1=0.5,2=0.5"]
    assert row.references == (1,) and row.negative == "ugly" and row.kind == "layers"
    assert {shot.prompt for shot in row.shots} == {PROMPT} and PROMPT in row.title


def test_the_last_layer_comes_first_where_nobody_named_it() -> None:
    row = row_of("3; 2")
    assert [shot.layers and shot.layers.text for shot in row.shots] == ["1", "3", "2"] and row.references == (0,)


def test_a_long_prompt_is_cut_in_the_title_alone() -> None:
    row = row_of("all", "red " * 100)
    assert len(row.title) < 140 and "…" in row.title and row.shots[0].prompt == "red " * 100


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(SettingsError, match="The prompt is empty"):
        row_of("all", "  ")
    with pytest.raises(SettingsError, match="nothing to compare the last layer with"):
        row_of("1")
    with pytest.raises(SettingsError, match="20,001 characters"):
        row_of("all", "x" * 20_001)
    with pytest.raises(SettingsError, match="20,001 characters"):
        layers_row("a cat", {}, [one_layer(2)], "x" * 20_001)


# ---- scores ---------------------------------------------------------------------------------------------------------


def test_a_score_is_the_cosine_of_the_picture_with_the_prompt_that_clip_can_read() -> None:
    found = scored(row_of("1; 2"), [0.6, 0.8], [0.5, 0.9])
    assert found.read == "a red cat, by" and found.left_out == ("zonk",)
    assert found.score(0) == pytest.approx(0.7) and found.score(1) == pytest.approx(0.7)
    assert found.deviation(0) == pytest.approx(math.sqrt(0.02))
    assert found.alike.similarity(0) == pytest.approx(1) and found.alike.similarity(1) < 1
    assert found.caption(0) == "score 0.700 ± 0.141"
    assert found.caption(1) == f"score 0.700 ± 0.283, similarity {found.alike.similarity(1):.3f}"
    assert "read as 'a red cat, by' (without zonk, which it does not know)" in found.explanation
    assert "from one seed to another" in found.explanation


def test_a_prompt_that_says_nothing_to_clip_has_no_scores() -> None:
    found = scored(row_of("1; 2", "zonk, (zonk)"), [0.6, 0.8], [0.5, 0.9])
    assert found.scores == () and "nothing that CLIP can read" in found.recommendation.sentence
    assert found.caption(1).startswith("similarity") and layer_scores_plot(found)
    assert scores_table(found).splitlines()[1].startswith("1,,,,,1.0")


def test_figures_come_as_soon_as_there_is_something_to_compare() -> None:
    row, features = row_of("1; 2"), [torch.ones(2, 4)]
    assert layer_scores(row, (0, 1), features, lambda _: torch.ones(1, 4)) is None
    assert layer_scores(row, (0, 1), features * 2, lambda _: torch.ones(1, 4)) is not None


# ---- what is recommended --------------------------------------------------------------------------------------------


def test_a_layer_that_is_better_with_every_seed_is_recommended() -> None:
    last = [0.30, 0.35, 0.28, 0.33, 0.31, 0.29, 0.34, 0.32]
    better = [score + lead for score, lead in zip(last, [0.05, 0.06, 0.04, 0.05, 0.06, 0.05, 0.04, 0.05], strict=True)]
    found = scored(row_of("1; 2; 3"), last, better, [score - 0.1 for score in last])
    told = found.recommendation
    assert told.layers == one_layer(2) and found.lead(1) == pytest.approx(0.05)
    assert told.sentence.startswith("CLIP skip 2 is recommended for this prompt: it scores 0.050 more")
    assert "one of 2 choices" in told.sentence and "8 seeds" in told.sentence


def test_a_lead_that_seeds_may_have_by_chance_is_none() -> None:
    last, other = [0.30, 0.35, 0.28, 0.33], [0.33, 0.33, 0.34, 0.31]
    found = scored(row_of("1; 2"), last, other)
    told = found.recommendation
    assert told.layers is None and found.lead(1) > 0
    assert told.sentence.startswith("No clear difference; the last layer is as good: CLIP skip 2 scores 0.012 more")
    assert told.sentence.endswith("more seeds may tell.")


def test_the_more_choices_the_clearer_the_best_of_them_must_be() -> None:
    last = [0.30, 0.35, 0.28, 0.33]
    better = [score + lead for score, lead in zip(last, [0.05, 0.02, 0.04, 0.03], strict=True)]
    alone = scored(row_of("1; 2"), last, better)
    among = scored(row_of("1-12"), last, better, *([score - 0.01 for score in last] for _ in range(10)))
    assert alone.recommendation.layers == one_layer(2) and among.recommendation.layers is None
    assert among.chance(1) == pytest.approx(11 * alone.chance(1))


def test_where_the_last_layer_scores_best_nothing_speaks_for_another() -> None:
    told = scored(row_of("1; 2"), [0.3, 0.4], [0.2, 0.3]).recommendation
    assert told.layers is None and told.sentence.endswith("the last layer scores best.")


def test_pictures_that_are_the_same_are_no_difference() -> None:
    found = scored(row_of("1; 2; 3"), [0.3, 0.4], [0.3, 0.4], [0.3002, 0.4002])
    assert found.recommendation.layers is None and found.chance(1) == 1


def test_one_seed_recommends_nothing() -> None:
    found = scored(row_of("1; 2"), [0.3], [0.9])
    assert found.recommendation.layers is None and "One seed cannot tell" in found.recommendation.sentence
    assert found.deviation(0) is None and "One seed says little" in found.explanation


@pytest.mark.parametrize(
    ("t", "degrees", "chance"),
    [(6.3138, 1, 0.05), (2.9200, 2, 0.05), (2.3534, 3, 0.05), (2.1318, 4, 0.05), (2.0150, 5, 0.05), (1.8946, 7, 0.05)]
    + [(63.657, 1, 0.005), (4.6041, 4, 0.005), (3.4995, 7, 0.005), (-1.8946, 7, 0.95), (0, 6, 0.5), (math.inf, 3, 0)],
)
def test_chances_are_those_of_student_s_tables(t: float, degrees: int, chance: float) -> None:
    assert beyond(t, degrees) == pytest.approx(chance, abs=2e-5)


# ---- table and plot -------------------------------------------------------------------------------------------------


def test_the_table_has_a_line_for_each_choice() -> None:
    found = scored(row_of("1; 1=0.5,2=0.5"), [0.3, 0.4], [0.5, 0.4])
    header, last, blend = csv.reader(io.StringIO(scores_table(found)))
    assert header[:6] == ["layers", "score", "deviation", "lead", "chance", "similarity_with_last"]
    assert header[6:] == ["score_with_seed_0", "score_with_seed_1"]
    assert last[0] == "1" and last[3:5] == ["0.0", ""] and last[6:] == ["0.3", "0.4"]
    assert blend[0] == "1=0.5,2=0.5" and float(blend[3]) == pytest.approx(0.1)
    assert float(blend[4]) == pytest.approx(found.chance(1), abs=1e-6)


@pytest.mark.parametrize("theme", list(THEMES))
@pytest.mark.parametrize(("layers", "seeds"), [("1; 2", 1), ("all; 1=0.5,2=0.5", 2), ("3; 1; 1=1,2=1,3=1,4=1,5=1", 8)])
def test_the_plot_opens_in_both_themes(theme: ThemeName, layers: str, seeds: int) -> None:
    row = row_of(layers, "_$x$^{ 日本 \x07 " + "long " * 30)
    generator = torch.Generator().manual_seed(1)
    scores = [torch.rand(seeds, generator=generator).tolist() for _ in row.shots]
    picture = Image.open(io.BytesIO(layer_scores_plot(scored(row, *scores), theme)))
    assert picture.format == "PNG" and picture.width == 1200 and 600 < picture.height < 1400
    assert picture.convert("RGB").getpixel((2, 2)) == tuple(bytes.fromhex(THEMES[theme].background[1:]))


def test_the_recommended_layer_is_marked_in_the_plot() -> None:
    last = [0.30, 0.35, 0.28, 0.33]
    better = [score + lead for score, lead in zip(last, [0.05, 0.051, 0.049, 0.05], strict=True)]
    star = tuple(bytes.fromhex(THEMES["light"].marks[1][1:]))
    for other, is_marked in ((better, True), (last, False)):
        found = scored(row_of("1; 2"), last, other)
        picture = Image.open(io.BytesIO(layer_scores_plot(found))).convert("RGB")
        colours = picture.getcolors(1 << 24)
        assert colours is not None and any(colour == star for _, colour in colours) == is_marked


def test_many_choices_can_be_drawn() -> None:
    row = layers_row("a cat", {}, layer_list("all; 1=0.5,2=0.5; 2=0.5,3=0.5", [23]))
    found = scored(row, *([0.3, 0.4] for _ in row.shots))
    assert Image.open(io.BytesIO(layer_scores_plot(found))).width == 1200
