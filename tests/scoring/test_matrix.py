"""The figures of pictures beside texts, of classes, of heads, and of texts that are too long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from pseudoword.errors import ModelError, SettingsError
from pseudoword.scoring import OPENAI_SEVEN_TEMPLATES, ClipScorer, Scores, class_features, load_head
from pseudoword.scoring.long_texts import parts_of
from pseudoword.scoring.matrix import matrix_rows
from tests.scoring.pictures import clip_folder, picture

pytest.importorskip("open_clip")


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> ClipScorer:
    folder = clip_folder(tmp_path_factory.mktemp("matrix"))
    return ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")


# --- matrices ---------------------------------------------------------------------------------------------------------


def test_a_matrix_has_cosines_clip_scores_and_probabilities_with_the_model_s_own_scale(scorer: ClipScorer) -> None:
    pictures = scorer.image_features([picture(seed) for seed in range(3)])
    texts = scorer.text_features(["a dog", "two cats"])
    scores = Scores.of(pictures, texts, scorer.logit_scale, scorer.title)
    by_hand = F.cosine_similarity(pictures[:, None], texts[None], dim=-1)
    torch.testing.assert_close(scores.cosines, by_hand)
    torch.testing.assert_close(scores.clip_scores, 100 * by_hand.clamp(min=0))
    torch.testing.assert_close(scores.probabilities, (scorer._model.logit_scale.exp() * by_hand).softmax(dim=1))
    assert scores.best_texts == by_hand.argmax(1).tolist() and scores.best_pictures == by_hand.argmax(0).tolist()
    assert not scores.is_square and scores.found_texts is None


def test_of_equal_texts_each_is_the_best() -> None:
    scores = Scores(torch.tensor([[0.3, 0.3, 0.1], [0.2, 0.2, 0.1], [0.1, 0.1, 0.05]]), 100.0, "m")
    assert scores.found_texts == pytest.approx(2 / 3)


def test_of_as_many_texts_as_pictures_the_diagonal_is_marked() -> None:
    scores = Scores(torch.tensor([[0.3, 0.1], [0.25, 0.2]]), 100.0, "m")
    assert scores.is_square and scores.found_texts == 0.5
    header, *rows = matrix_rows(scores, ["one", "two"], ["x", "y"])
    assert [row[header.index("diagonal")] for row in rows] == [True, False, False, True]
    assert [row[header.index("best text")] for row in rows] == [True, False, True, False]
    assert {row[-1] for row in rows} == {"m"}


def test_probabilities_of_equal_texts_are_equal_at_any_scale() -> None:
    chances = Scores(torch.full((1, 4), 0.25), 1e4, "m").probabilities
    assert chances.tolist() == [[0.25] * 4]


# --- classes ----------------------------------------------------------------------------------------------------------


def test_a_class_is_the_mean_of_its_sentences(scorer: ClipScorer) -> None:
    found = class_features(scorer, ["dog", "cat"], OPENAI_SEVEN_TEMPLATES)
    sentences = scorer.text_features([template.replace("{}", "cat") for template in OPENAI_SEVEN_TEMPLATES])
    torch.testing.assert_close(found[1], F.normalize(sentences.mean(0), dim=0))
    assert found.shape == (2, 16)


@pytest.mark.parametrize(("classes", "templates"), [([], ["a {}"]), (["dog"], []), (["dog"], ["a dog"])])
def test_classes_that_cannot_be_are_refused(classes: list[str], templates: list[str], scorer: ClipScorer) -> None:
    with pytest.raises(SettingsError):
        class_features(scorer, classes, templates)


# --- long texts -------------------------------------------------------------------------------------------------------


def test_a_text_that_is_too_long_is_told_and_cut_or_read_in_parts(scorer: ClipScorer) -> None:
    short, long = "a dog", "dog " * 80 + "man " * 20
    assert scorer.too_long([short, long]) == {long: 100} and scorer.token_room == 75
    cut = scorer.text_features([short, long])
    mean = scorer.text_features([short, long], "mean")
    assert torch.equal(cut[1], scorer.text_features([long + " anything"])[0])
    parts = scorer.text_features([("dog " * 75).strip(), "dog " * 5 + ("man " * 20).strip()])
    torch.testing.assert_close(mean[1], F.normalize(75 * parts[0] + 25 * parts[1], dim=0))
    assert torch.equal(mean[0], cut[0])


def test_an_empty_text_has_a_feature(scorer: ClipScorer) -> None:
    for long in ("cut", "mean"):
        assert scorer.text_features([""], long).isfinite().all()


@given(st.text(max_size=300), st.integers(1, 20))
def test_the_parts_of_a_text_fit_and_are_all_of_it(text: str, room: int) -> None:
    parts = parts_of(text, len, room)
    assert parts and (parts == [text] or all(0 < len(part) <= room for part in parts) or not text.split())
    assert "".join("".join(parts).split()) == "".join(text.split())


# --- heads ------------------------------------------------------------------------------------------------------------


def predictor(width: int = 16) -> nn.Module:
    """The layers of the widespread aesthetic predictor."""
    torch.manual_seed(0)
    sizes = [(width, 8), (8, 6), (6, 4), (4, 3), (3, 1)]
    linear = [nn.Linear(*size) for size in sizes]
    layers = [linear[0], nn.Dropout(0.2), linear[1], nn.Dropout(0.2), linear[2], nn.Dropout(0.1), linear[3], linear[4]]
    module = nn.Module()
    module.layers = nn.Sequential(*layers)
    return module.eval()


def features() -> Tensor:
    torch.manual_seed(1)
    return F.normalize(torch.randn(5, 16), dim=1)


def test_the_aesthetic_predictor_gives_what_its_own_layers_give(tmp_path: Path) -> None:
    module = predictor()
    torch.save(module.state_dict(), tmp_path / "aesthetic.pth")
    save_file(module.state_dict(), tmp_path / "aesthetic.safetensors")
    for name in ("aesthetic.pth", "aesthetic.safetensors"):
        head = load_head(tmp_path / name)
        torch.testing.assert_close(head.scores(features()), module.layers(features())[:, 0])  # type: ignore[operator]
        assert head.name == "aesthetic" and head.width == 16


def test_one_linear_layer_is_a_head(tmp_path: Path) -> None:
    layer = nn.Linear(16, 1)
    torch.save(layer.state_dict(), tmp_path / "linear.pth")
    torch.testing.assert_close(load_head(tmp_path / "linear.pth").scores(features()), layer(features())[:, 0])


def test_a_head_for_features_of_another_width_is_refused(tmp_path: Path) -> None:
    torch.save(predictor(24).state_dict(), tmp_path / "wide.pth")
    with pytest.raises(ModelError, match="24.*16"):
        load_head(tmp_path / "wide.pth").check_width(16, "tiny")


REFUSED: dict[str, Callable[[Path], object]] = {
    "between": lambda path: torch.save({"0.weight": torch.ones(4, 16), "2.weight": torch.ones(1, 4)}, path),
    "more than one number": lambda path: torch.save({"weight": torch.ones(2, 16)}, path),
    "do not fit": lambda path: torch.save({"0.weight": torch.ones(4, 16), "1.weight": torch.ones(1, 5)}, path),
    "conv1": lambda path: torch.save({"conv1.kernel": torch.ones(4, 4)}, path),
    "NaN": lambda path: torch.save({"weight": torch.full((1, 16), float("nan"))}, path),
    "no file of weights": lambda path: torch.save([1, 2], path),
    "cut off": lambda path: path.write_bytes(b"PK\3\4"),
    "not run": lambda path: torch.save(nn.Linear(16, 1), path),
    "cannot be read": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_no_head_is_refused_with_the_reason(reason: str, tmp_path: Path) -> None:
    REFUSED[reason](tmp_path / "head.pth")
    with pytest.raises(ModelError, match=f"head.pth.*{reason}"):
        load_head(tmp_path / "head.pth")
