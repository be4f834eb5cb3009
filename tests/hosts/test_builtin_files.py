"""What tools/builtin_model writes is one model to us, to open_clip and to diffusers; here with random weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from pseudoword.diffusion import Sampling
from pseudoword.text import encode_prompts
from tests import tiny_models

pytest.importorskip("diffusers")
pytest.importorskip("open_clip")

import pseudoword.builtin
from pseudoword.hosts.diffusers import StandaloneModel, load_model
from pseudoword.scoring import ClipScorer
from tools.builtin_model import assemble, clip, loop, unet, vae

PROMPTS = ["a photo of a dog", "an octopus in the style of noto, on a red background", ""]
SCALE = 0.734567


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder as the trainings leave it; weights that fp16 can hold, so that all sides compare exactly."""
    folder = tmp_path_factory.mktemp("work")
    for seed, (name, part) in enumerate((("vae", vae), ("clip-text", clip), ("unet", unet))):
        with tiny_models.seeded(seed):
            weights = {key: value.half().float() for key, value in part.build().state_dict().items()}
        torch.save({"averaged": weights}, folder / f"{name}.pt")
    torch.save({"scale": SCALE}, folder / "latents.pt")
    (folder / "split.json").write_text(json.dumps({"seen": ["dog", "octopus"]}))
    return folder


@pytest.fixture(scope="module")
def target(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("builtin")
    assemble.assemble(work, folder)
    return folder


@pytest.fixture
def shipped(target: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`target` in the place of pseudoword/builtin."""
    for name in ("CHECKPOINT", "CONFIG_FOLDER", "OPEN_CLIP_FOLDER"):
        monkeypatch.setattr(pseudoword.builtin, name, target / getattr(pseudoword.builtin, name).name)
    return target


@pytest.fixture
def model(shipped: Path) -> StandaloneModel:
    return load_model()


def part(name: str, build: Any, work: Path) -> Any:
    """One trained part as its training left it."""
    return loop.load_averaged(name, build(), work)


def test_the_model_that_loads_by_default_is_the_one_that_was_trained(model: StandaloneModel, work: Path) -> None:
    assert (model.title, model.native_size, model.prediction) == ("pseudoword-mini", 64, "epsilon")
    autoencoder, denoiser = part("vae", vae.build, work), part("unet", unet.build, work)
    latents, timesteps = torch.randn(3, 4, 8, 8), torch.tensor([5, 500, 990])
    context = encode_prompts(model, PROMPTS, {})
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        assert torch.equal(
            model.predict(latents, timesteps, context), denoiser(latents, timesteps, context.context).sample
        )
        torch.testing.assert_close(
            model.encode_images(pixels).mean, autoencoder.encode(pixels).latent_dist.mean * SCALE
        )
        pictures = autoencoder.decode(latents / SCALE).sample.clamp(-1, 1)
        torch.testing.assert_close(model.decode_latents(latents), pictures, atol=1e-4, rtol=1e-4)
    (picture,) = model.generate(context, encode_prompts(model, [""] * 3, {}), Sampling(64, 64, 2), [1, 2, 3])[:1]
    assert picture.size == (64, 64)


def test_the_unet_was_told_by_the_text_tower_what_it_is_told_now(model: StandaloneModel, work: Path) -> None:
    tower, tokenize = part("clip-text", clip.build, work), clip.tokenizer(work)
    trained_on = unet.text_context(tower, tokenize(PROMPTS))
    torch.testing.assert_close(encode_prompts(model, PROMPTS, {}).context, trained_on, atol=1e-4, rtol=1e-4)
    assert model.text_encoders[0].layer_count >= 8
    schedule = unet.alphas_cumprod()
    torch.testing.assert_close(model.schedule.alphas_cumprod.double(), schedule, atol=1e-5, rtol=1e-4)


def test_the_scorer_is_the_clip_that_was_trained(shipped: Path, work: Path) -> None:
    tower, tokenize, scorer = part("clip-text", clip.build, work), clip.tokenizer(work), ClipScorer.builtin()
    assert scorer.name == "pseudoword-mini"
    expected = F.normalize(tower.encode_text(tokenize(PROMPTS)), dim=-1)
    torch.testing.assert_close(scorer.text_features(PROMPTS), expected, atol=1e-5, rtol=1e-4)


def test_open_clip_loads_it_by_its_folder(shipped: Path, work: Path) -> None:
    open_clip = pytest.importorskip("open_clip", minversion="3.0")
    folder = pseudoword.builtin.OPEN_CLIP_FOLDER
    loaded, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}", bpe_path=str(folder / "bpe.txt.gz"))
    scorer = ClipScorer.builtin()
    expected = F.normalize(loaded.eval().encode_text(tokenize(PROMPTS)), dim=-1)
    torch.testing.assert_close(scorer.text_features(PROMPTS), expected, atol=1e-5, rtol=1e-4)


def test_diffusers_loads_the_single_file_with_the_folder_beside_it(model: StandaloneModel, shipped: Path) -> None:
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_single_file(
        str(pseudoword.builtin.CHECKPOINT), config=str(pseudoword.builtin.CONFIG_FOLDER), local_files_only=True
    )
    latents, timesteps, context = torch.randn(1, 4, 8, 8), torch.tensor([300]), encode_prompts(model, PROMPTS[:1], {})
    with torch.no_grad():
        encoded, _ = pipeline.encode_prompt(PROMPTS[0], "cpu", 1, False)
        torch.testing.assert_close(encoded, context.context)
        answer = pipeline.unet(latents, timesteps, context.context).sample
        torch.testing.assert_close(answer, model.predict(latents, timesteps, context))
    assert pipeline.vae.config.scaling_factor == SCALE


def test_the_original_code_finds_what_its_yaml_names(shipped: Path, work: Path) -> None:
    text = pseudoword.builtin.CHECKPOINT.with_suffix(".yaml").read_text()
    values = dict(re.findall(r"^ *(\w+): (.+)$", text, re.MULTILINE))
    assert (values["model_channels"], values["context_dim"], values["scale_factor"]) == ("64", "128", str(SCALE))
    version = Path(values["version"])
    assert version.parts[:2] == ("models", "Stable-diffusion")
    folder = shipped.joinpath(*version.parts[2:])  # the files of `shipped` are to be copied to models/Stable-diffusion
    assert {"config.json", "merges.txt", "vocab.json"} <= {path.name for path in folder.iterdir()}
    transformers = pytest.importorskip("transformers")
    tower = transformers.CLIPTextModel(transformers.CLIPTextConfig.from_pretrained(str(folder)))
    tokenizer = transformers.CLIPTokenizer.from_pretrained(str(folder))
    assert (tower.config.hidden_size, len(tokenizer)) == (128, tower.config.vocab_size)
    settings = json.loads((pseudoword.builtin.OPEN_CLIP_FOLDER / "open_clip_config.json").read_text())
    assert settings["model_cfg"]["text_cfg"]["vocab_size"] == len(tokenizer)


def test_the_weights_are_at_most_24_mb(shipped: Path) -> None:
    assert sum(path.stat().st_size for path in shipped.rglob("*.safetensors")) <= 24_000_000
