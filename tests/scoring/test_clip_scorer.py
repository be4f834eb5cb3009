"""Features are open_clip's own, words are found by them, and files that do not fit are refused with a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from pseudoword.errors import ModelError
from pseudoword.scoring import ClipScorer, nearest_words
from pseudoword.scoring.clip_files import Tokenizer
from tests import tiny_models

open_clip = pytest.importorskip("open_clip")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_open_clip(tmp_path_factory.mktemp("scorer") / "tiny-clip")


@pytest.fixture(scope="module")
def scorer(folder: Path) -> ClipScorer:
    return load(folder)


def load(folder: Path) -> ClipScorer:
    return ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")


def pictures(count: int) -> list[Image.Image]:
    numbers = np.random.default_rng(5)
    sizes = [(40 + 7 * index, 64, 3) for index in range(count)]
    return [Image.fromarray(numbers.integers(0, 256, size, dtype=np.uint8)) for size in sizes]


def test_features_are_those_that_open_clip_computes_itself(
    folder: Path, scorer: ClipScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((folder / "open_clip_config.json").read_text())
    (tmp_path / "tiny-for-test.json").write_text(json.dumps(config["model_cfg"]))
    open_clip.add_model_config(tmp_path)
    half = (0.5, 0.5, 0.5)
    model, _, preprocess = open_clip.create_model_and_transforms("tiny-for-test", image_mean=half, image_std=half)
    model.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    own = open_clip.tokenizer.SimpleTokenizer(bpe_path=str(folder / "bpe.txt.gz"))
    monkeypatch.setattr(open_clip.tokenizer, "_tokenizer", own)
    texts = ["a photo of a dog", "Two cats &amp; a “fish”", "word " * 200]
    images = pictures(3)
    with torch.no_grad():
        expected_image = model.eval().encode_image(torch.stack([preprocess(image) for image in images]), normalize=True)
        expected_text = model.eval().encode_text(open_clip.tokenizer.tokenize(texts), normalize=True)
    assert F.cosine_similarity(scorer.image_features(images), expected_image).min() > 0.9999
    assert F.cosine_similarity(scorer.text_features(texts), expected_text).min() > 0.9999


def test_features_have_unit_length_and_do_not_depend_on_the_batch(scorer: ClipScorer) -> None:
    images = pictures(40)
    features = scorer.image_features(images)
    assert features.shape == (40, 16)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(40))
    torch.testing.assert_close(features[33:34], scorer.image_features(images[33:34]), atol=1e-5, rtol=1e-4)
    texts = [f"number {index}" for index in range(300)]
    torch.testing.assert_close(scorer.text_features(texts)[299:], scorer.text_features(texts[299:]))


def test_only_the_positions_that_hold_tokens_are_computed(scorer: ClipScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    tower = scorer._model.transformer
    monkeypatch.setattr(tower, "forward", recording(tower.forward, lengths))
    alone = scorer.text_features(["moon", "moons of another planet"])
    together = scorer.text_features(["wordy " * 200, "moon over the sea"])
    assert len(alone) == len(together) == 2
    assert lengths[0] < 20 and lengths[1] == 77


def recording(forward: Callable[..., Tensor], lengths: list[int]) -> Callable[..., Tensor]:
    """`forward`, noting how many positions it was given; the batch is the other side, and two here."""

    def noting(x: Tensor, **options: Any) -> Tensor:
        lengths.append(max(x.shape[:2]))
        return forward(x, **options)

    return noting


def test_pictures_of_any_mode_are_understood(scorer: ClipScorer) -> None:
    for mode in ("L", "RGBA", "P", "CMYK"):
        assert scorer.image_features([pictures(1)[0].convert(mode)]).isfinite().all()


def test_the_nearest_words_are_the_ones_of_highest_cosine(scorer: ClipScorer) -> None:
    images, words = pictures(3), ["dog", "cat", "house", "tree", "moon"]
    together = F.normalize(scorer.image_features(images).mean(dim=0), dim=0)
    by_hand = {word: float(scorer.text_features([f"a photo of a {word}"])[0] @ together) for word in words}
    found = nearest_words(scorer, images, words, count=3)
    assert [word for word, _ in found] == sorted(words, key=lambda word: by_hand[word], reverse=True)[:3]
    assert [value for _, value in found] == pytest.approx([by_hand[word] for word, _ in found], abs=1e-5)
    assert len(nearest_words(scorer, images, words, count=99)) == len(words)


def test_a_template_may_hold_other_braces(scorer: ClipScorer) -> None:
    assert nearest_words(scorer, pictures(1), ["dog"], 1, template="{a} {} {}")[0][0] == "dog"


def test_no_pictures_or_no_words_give_no_nearest_word(scorer: ClipScorer) -> None:
    assert nearest_words(scorer, [], ["dog"], 1) == []
    assert nearest_words(scorer, pictures(1), [], 1) == []


def test_a_text_asked_again_is_not_encoded_again(folder: Path) -> None:
    scorer = load(folder)
    first = scorer.text_features(["a dog", "a cat"])
    scorer._model.token_embedding.weight.data.fill_(float("nan"))  # whatever is computed from now on shows
    assert torch.equal(scorer.text_features(["a cat", "a dog"]), first.flip(0))


@pytest.mark.parametrize(
    "damage", ["weights cut off", "weights of another", "weights missing", "no json", "other json", "vocabulary"]
)
def test_files_that_do_not_fit_are_refused_by_name(damage: str, folder: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    weights, config = broken / "open_clip_model.safetensors", broken / "open_clip_config.json"
    blamed = weights
    if damage == "weights cut off":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif damage == "weights missing":
        weights.unlink()
    elif damage == "weights of another":
        settings = json.loads(config.read_text())
        settings["model_cfg"]["vision_cfg"]["layers"] = 2
        config.write_text(json.dumps(settings))
    elif damage == "vocabulary":
        (broken / "bpe.txt.gz").unlink()
        blamed = Path("bpe.txt.gz")
    else:
        config.write_text("{" if damage == "no json" else "[1]")
        blamed = config
    with pytest.raises(ModelError, match=blamed.name):
        load(broken)


def tower_of(**changes: Any) -> Any:
    """An open_clip model with an image tower of several layers and random weights."""
    vision = {"image_size": 32, "layers": 3, "width": 64, "head_width": 16, "patch_size": 8, **changes}
    texts = {"context_length": 8, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1}
    with tiny_models.seeded(3):
        return open_clip.CLIP(32, vision, texts).eval()


POOLED = {"pool_type": "avg"} if hasattr(open_clip.transformer, "text_global_pool") else {"global_average_pool": True}


@pytest.mark.parametrize(
    ("changes", "is_shortened"), [({}, True), ({"ls_init_value": 0.1}, True), (POOLED, False)], ids=str
)
def test_a_last_layer_that_is_read_in_one_place_is_computed_there(changes: dict[str, Any], is_shortened: bool) -> None:
    model, pixels = tower_of(**changes), torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    seen: list[int] = []
    with torch.no_grad():
        expected = F.normalize(model.encode_image(pixels), dim=-1)
        scorer = ClipScorer("tower", model, lambda image: pixels[0], Tokenizer(6, len, lambda text: [0] * 8))
        last = model.visual.transformer.resblocks[-1]
        last.mlp.register_forward_hook(lambda module, given, answer: seen.append(answer.numel() // answer.shape[-1]))
        torch.testing.assert_close(scorer.features_of_pixels(pixels), expected, atol=2e-6, rtol=1e-5)
    assert seen == [5 if is_shortened else 5 * 17]


def with_tower_of_timm(folder: Path, name: str) -> Path:
    """A copy of the model in `folder` whose configuration wants a tower of timm's, with weights from the network."""
    config = json.loads((folder / "open_clip_config.json").read_text())
    tower = {"timm_model_name": name, "timm_model_pretrained": True, "image_size": 32}
    config["model_cfg"]["vision_cfg"] = tower
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def test_a_configuration_that_asks_for_other_weights_gets_its_own_and_no_download(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    there = with_tower_of_timm(Path(shutil.copytree(folder, tmp_path / "timm")), "resnet10t")
    settings = json.loads((there / "open_clip_config.json").read_text())["model_cfg"]
    settings["vision_cfg"]["timm_model_pretrained"] = False
    own = open_clip.CLIP(**settings).eval()
    save_file(own.state_dict(), there / "open_clip_model.safetensors")
    pixels = torch.ones(1, 3, 32, 32)
    with torch.no_grad():
        expected = F.normalize(own.encode_image(pixels), dim=-1)
    torch.testing.assert_close(load(there).features_of_pixels(pixels), expected)


@pytest.mark.parametrize("name", ["hf-hub:somebody/net", "hf_hub:somebody/net", "local-dir:/somewhere"])
def test_a_tower_that_lies_elsewhere_is_refused_by_name(name: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"lies elsewhere, {name};"):
        load(with_tower_of_timm(Path(shutil.copytree(folder, tmp_path / "elsewhere")), name))
