from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.embedding import Embedding, save_embedding
from pseudoword.errors import ModelError, SettingsError, TrainingError
from pseudoword.training.vectors import (
    LearnedWord,
    parted,
    spread,
    start_vectors,
    tangential,
    vectors_of_words,
)
from tests.tiny_models import WIDTH, TinyModel, save_open_clip, tokenizer
from tests.training.small_runs import pictures, settings

CPU = torch.device("cpu")


@given(rows=st.integers(1, 80), count=st.integers(1, 75))
def test_any_number_of_tokens_becomes_any_number_of_vectors(rows: int, count: int) -> None:
    given_rows = torch.arange(rows, dtype=torch.float32)[:, None].expand(rows, 3)
    result = spread(given_rows, count)
    assert result.shape == (count, 3)
    if count <= rows:
        assert result[:, 0].tolist() == sorted(result[:, 0].tolist())  # runs, in order
    else:
        assert result[rows].tolist() == given_rows[0].tolist()  # repeated in turn


def test_words_start_at_their_own_vectors() -> None:
    model = TinyModel()
    vocabulary = model.text_encoders[0].vocabulary
    tokens = tokenizer().tokenize("the dog")
    assert torch.equal(vectors_of_words(model, "the dog", 2)["clip_l"], vocabulary[tokens])
    assert torch.allclose(vectors_of_words(model, "the dog", 1)["clip_l"][0], vocabulary[tokens].mean(dim=0))


def test_words_without_a_token_are_refused() -> None:
    with pytest.raises(SettingsError, match="holds no word"):
        vectors_of_words(TinyModel(), " ", 1)


def test_without_a_scorer_auto_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match="give a scorer, or words"):
        start_vectors(TinyModel(), settings(start="auto"), [], None)


def test_where_clip_reads_the_models_own_vocabulary_the_start_fits_the_pictures_better_than_its_words(
    tmp_path: Path,
) -> None:
    pytest.importorskip("open_clip")
    from pseudoword.scoring import ClipScorer, fitting_vectors, has_vocabulary

    folder = save_open_clip(tmp_path / "clip")
    scorer = ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")
    images = [picture.load() for picture in pictures(tmp_path / "pictures", settings()).pictures]
    vocabulary = scorer.vocabulary
    assert vocabulary is not None and has_vocabulary(scorer, vocabulary.half())
    assert not has_vocabulary(scorer, TinyModel().text_encoders[0].vocabulary)
    words = vocabulary[[300, 301]].float()
    found = fitting_vectors(scorer, images, words)
    goal = scorer.image_features(images).mean(dim=0)
    fit = [float(scorer.features_of_vectors("a photo of a", rows).detach() @ goal) for rows in (words, found)]
    assert fit[1] > fit[0] + 0.05
    assert torch.allclose(found.norm(dim=1), words.norm(dim=1))
    assert torch.equal(found, fitting_vectors(scorer, images, words))


def test_vectors_are_held_near_their_start() -> None:
    moved = []
    for hold in (0.0, 30.0, 1e6):
        word = LearnedWord({"clip_l": torch.ones(1, 4)}, CPU, norms=None, weight_decay=0.0, clip_grad=None, hold=hold)
        for _ in range(100):
            word.update({"clip_l": torch.tensor([[1.0, 0.0, 0.0, 0.0]])}, 0.01)
        moved.append(float((word.copied_vectors()["clip_l"] - 1).norm()))
    assert moved[0] == pytest.approx(1.0, abs=0.01)
    assert 0.0 < moved[1] < 0.1
    assert moved[2] == 0.0


def test_equal_vectors_are_parted_a_little_and_always_alike() -> None:
    rows = {"clip_l": torch.ones(3, WIDTH)}
    first, second = parted(rows, 1)["clip_l"], parted(rows, 1)["clip_l"]
    assert torch.equal(first, second) and not torch.equal(first, parted(rows, 2)["clip_l"])
    assert len({tuple(row.tolist()) for row in first}) == 3
    assert torch.equal(first[0], rows["clip_l"][0])
    assert (first - 1).norm(dim=1).max() < 0.02 * rows["clip_l"][0].norm()


@pytest.mark.parametrize("norm", ["vocabulary", "free"])
def test_a_run_can_start_from_an_embedding(tmp_path: Path, norm: str) -> None:
    rows = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(0))
    path = save_embedding(Embedding("old", {"clip_l": rows}), tmp_path / "old.safetensors")
    start = start_vectors(TinyModel(), settings(start=f"file:{path}", norm=norm), [], None)
    assert torch.equal(start.vectors["clip_l"], rows)
    assert start.words == "old.safetensors"


def test_an_embedding_of_another_model_or_another_size_is_refused(tmp_path: Path) -> None:
    path = save_embedding(Embedding("old", {"clip_l": torch.ones(3, 768)}), tmp_path / "old.safetensors")
    with pytest.raises(ModelError, match="clip_l 768 wide, but tiny needs clip_l 32 wide"):
        start_vectors(TinyModel(), settings(start=f"file:{path}"), [], None)
    with pytest.raises(SettingsError, match="holds 3 vectors, and 2 are asked for"):
        start_vectors(TinyModel(), settings(start=f"file:{path}", vectors=2), [], None)


def test_a_gradient_along_the_vector_is_taken_out() -> None:
    rows = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    gradient = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
    across = tangential(gradient, rows)
    assert (across * rows).sum(dim=1).abs().max() < 1e-5
    assert torch.allclose(tangential(across, rows), across, atol=1e-6)
    assert tangential(rows, rows).abs().max() < 1e-5


def test_each_vector_keeps_its_length_whatever_the_gradient() -> None:
    norms = torch.tensor([[0.4], [7.0]])
    word = LearnedWord({"clip_l": torch.ones(2, 4)}, CPU, norms={"clip_l": norms}, weight_decay=0.5, clip_grad=None)
    for seed in range(5):
        gradient = torch.randn(2, 4, generator=torch.Generator().manual_seed(seed)) * 100
        word.update({"clip_l": gradient}, 0.1)
        assert torch.allclose(word.vectors["clip_l"].norm(dim=1, keepdim=True), norms)


def test_long_gradients_are_shortened() -> None:
    lengths = []
    for clip_grad in (None, 0.5):
        word = LearnedWord({"clip_l": torch.ones(2, 4)}, CPU, norms=None, weight_decay=0.0, clip_grad=clip_grad)
        word.update({"clip_l": torch.full((2, 4), 100.0)}, 0.1)
        lengths.append(word.state()["exp_avg.clip_l"].norm().item() * 10)  # AdamW keeps a tenth of the first gradient
    assert lengths[0] == pytest.approx(100 * 8**0.5, rel=1e-3) and lengths[1] == pytest.approx(0.5, rel=1e-3)


def test_a_word_restored_goes_on_to_the_same_bits() -> None:
    def gradient(seed: int) -> dict[str, torch.Tensor]:
        return {"clip_l": torch.randn(2, 4, generator=torch.Generator().manual_seed(seed))}

    def new() -> LearnedWord:
        return LearnedWord({"clip_l": torch.ones(2, 4)}, CPU, norms=None, weight_decay=0.1, clip_grad=1.0)

    one, other = new(), new()
    for seed in range(3):
        one.update(gradient(seed), 0.1)
    other.restore(one.state())
    for seed in range(3, 6):
        one.update(gradient(seed), 0.1)
        other.update(gradient(seed), 0.1)
    assert all(torch.equal(tensor, other.state()[name]) for name, tensor in one.state().items())
    one.restore(new().state())  # as before its first step
    assert set(one.state()) == {"vectors.clip_l"}


def test_a_clip_that_lacks_the_memory_to_choose_words_is_an_error_with_a_way_out() -> None:
    pytest.importorskip("open_clip")
    from PIL import Image

    from pseudoword.scoring import ClipScorer
    from pseudoword.scoring.clip_files import Tokenizer

    class HungryTower(torch.nn.Module):
        def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.empty(2**43, dtype=torch.uint8)

    tokenizer = Tokenizer(1, len, lambda text: [0])
    scorer = ClipScorer("hungry", HungryTower(), lambda image: torch.zeros(3, 8, 8), tokenizer)
    with pytest.raises(TrainingError, match="too little memory for the CLIP model.*start 'toy'"):
        start_vectors(TinyModel(), settings(start="auto"), [Image.new("RGB", (8, 8))], scorer)


def test_the_file_to_start_from_may_lie_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    save_embedding(Embedding("old", {"clip_l": torch.ones(1, WIDTH)}), tmp_path / "old.safetensors")
    assert start_vectors(TinyModel(), settings(start="file:~/old.safetensors"), [], None).words == "old.safetensors"
