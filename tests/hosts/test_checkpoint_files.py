"""Which files the standalone host takes, how it tells them apart, and what it says of the others; always offline."""

from __future__ import annotations

import json
import pickle
import shutil
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from pseudoword.diffusion import Sampling
from pseudoword.errors import ModelError
from pseudoword.text import encode_prompts
from tests import ldm_layout, tiny_models

pytest.importorskip("diffusers")

import pseudoword.builtin
from pseudoword.hosts import checkpoints
from pseudoword.hosts.diffusers import StandaloneModel, load_model, load_single_file

CPU = torch.device("cpu")
CHECKPOINT_TENSORS = tiny_models.checkpoint_tensors()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder, also the configuration for the single files below; no test changes it."""
    return tiny_models.save_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def configuration(folder: Path) -> checkpoints.Configuration:
    return checkpoints.read_configuration(folder)


def context(model: StandaloneModel) -> torch.Tensor:
    return encode_prompts(model, ["a dog"], {}).context


def test_every_kind_of_model_loads_without_a_look_at_the_network(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **named: Any) -> NoReturn:
        raise AssertionError(f"asked the network: {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(pseudoword.builtin, "CONFIG_FOLDER", folder)
    single = tiny_models.save_checkpoint(tmp_path / "tiny.safetensors")
    monkeypatch.setattr(pseudoword.builtin, "CHECKPOINT", single)
    contexts = [context(load_model(path)) for path in (None, single, folder)]
    assert torch.equal(contexts[0], contexts[1])
    torch.testing.assert_close(contexts[0], contexts[2])


def test_a_folder_of_half_precision_weights_is_read(folder: Path, tmp_path: Path) -> None:
    halves = Path(shutil.copytree(folder, tmp_path / "halves"))
    for path in halves.rglob("*.safetensors"):
        path.rename(path.with_suffix(".fp16.safetensors"))
    assert torch.equal(context(load_model(halves)), context(load_model(folder)))


def test_the_configuration_of_sd1_is_that_of_the_published_weights() -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**checkpoints.SD1.unet), AutoencoderKL(**checkpoints.SD1.vae)
        text = CLIPTextModel(CLIPTextConfig(**checkpoints.SD1.text))
    sizes = [sum(weight.numel() for weight in part.parameters()) for part in (unet, vae, text)]
    assert sizes == [859_520_964, 83_653_863, 123_060_480]
    assert len(ldm_layout.checkpoint_tensors(unet, vae, text)) == 686 + 248 + 196


def test_the_hash_is_that_of_the_file(folder: Path, tmp_path: Path, configuration: checkpoints.Configuration) -> None:
    import hashlib

    path = tiny_models.save_checkpoint(tmp_path / "tiny.safetensors")
    model = load_single_file(path, CPU, configuration=configuration)
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_ckpt_of_plain_tensors_is_read(
    wrapped: bool, tmp_path: Path, folder: Path, configuration: checkpoints.Configuration
) -> None:
    path = tmp_path / "tiny.ckpt"
    torch.save({"state_dict": CHECKPOINT_TENSORS, "global_step": 3} if wrapped else CHECKPOINT_TENSORS, path)
    model = load_single_file(path, CPU, configuration=configuration)
    torch.testing.assert_close(context(model), context(load_model(folder)))


@pytest.mark.parametrize("lowest_byte", [0x80, ord("P")])
def test_a_safetensors_file_that_begins_as_another_format_does_is_read(lowest_byte: int, tmp_path: Path) -> None:
    """The format begins with the length of its header, which may have any lowest byte, a pickle's included."""
    path = tiny_models.save_checkpoint(tmp_path / "padded.safetensors", {"weight": torch.ones(2)})
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    padding = (lowest_byte - length) % 256
    header = (length + padding).to_bytes(8, "little") + content[8 : 8 + length] + b" " * padding
    path.write_bytes(header + content[8 + length :])
    assert path.read_bytes()[0] == lowest_byte
    assert torch.equal(checkpoints.read_tensors(path)["weight"], torch.ones(2))


class Hostile:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "executed"))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_ckpt_that_would_run_a_program_is_refused_and_does_not(zipped: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "bad.ckpt", tmp_path / "trace"
    content = {"state_dict": CHECKPOINT_TENSORS, "callback": Hostile(trace)}
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ModelError, match=r"bad\.ckpt.*convert it to safetensors"):
        load_model(path)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
@pytest.mark.parametrize("kept", [0, 7, 1000, -1000])
def test_a_file_that_is_cut_off_is_refused_by_name(suffix: str, kept: int, tmp_path: Path) -> None:
    path = tmp_path / f"cut{suffix}"
    if suffix == ".ckpt":
        torch.save(CHECKPOINT_TENSORS, path)
    else:
        tiny_models.save_checkpoint(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match=rf"cut\{suffix}.*download it again"):
        load_model(path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["conditioner.embedders.0.transformer.x"], "an SDXL checkpoint"),
        (["cond_stage_model.model.transformer.resblocks.0.x"], "a Stable Diffusion 2.x checkpoint"),
        (["lora_unet_down_blocks_0.lora_up.weight"], "a LoRA"),
        (["emb_params"], "an embedding"),
        (["down_blocks.0.x"], "one part of a diffusers folder"),
        (["foo", "bar"], r"no checkpoint of that kind \(2 tensors: "),
        (["model.diffusion_model.input_blocks.0.0.bias"], "lacks its VAE and text encoder"),
    ],
)
def test_a_file_of_another_kind_is_named_for_what_it_is(names: list[str], said: str, tmp_path: Path) -> None:
    path = tiny_models.save_checkpoint(tmp_path / "other.safetensors", {name: torch.zeros(1) for name in names})
    with pytest.raises(ModelError, match=rf"other\.safetensors.*{said}"):
        load_model(path)


def test_an_inpainting_checkpoint_is_refused(tmp_path: Path) -> None:
    tensors = CHECKPOINT_TENSORS | {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(32, 9, 3, 3)}
    path = tiny_models.save_checkpoint(tmp_path / "inpainting.safetensors", tensors)
    with pytest.raises(ModelError, match="9 input channels"):
        load_model(path)


def test_a_text_tower_of_unknown_size_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudoword.builtin, "CONFIG_FOLDER", folder)
    vocabulary = "cond_stage_model.transformer.text_model." + checkpoints.VOCABULARY_KEY
    path = tiny_models.save_checkpoint(
        tmp_path / "odd.safetensors", CHECKPOINT_TENSORS | {vocabulary: torch.zeros(9, 5)}
    )
    with pytest.raises(ModelError, match=r"\(9, 5\).*\(49408, 768\)"):
        load_model(path)


def test_an_odd_checkpoint_is_named_even_where_the_built_in_model_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pseudoword.builtin, "CONFIG_FOLDER", tmp_path / "missing")
    path = tiny_models.save_checkpoint(tmp_path / "odd.safetensors")
    with pytest.raises(ModelError, match=r"odd\.safetensors has a text encoder with a vocabulary of shape"):
        load_model(path)
    monkeypatch.setattr(pseudoword.builtin, "CHECKPOINT", path)
    with pytest.raises(ModelError, match="missing"):
        load_model()


def test_a_checkpoint_that_lacks_a_weight_is_refused(configuration: checkpoints.Configuration, tmp_path: Path) -> None:
    lost = "model.diffusion_model.middle_block.1.norm.weight"
    tensors = {name: value for name, value in CHECKPOINT_TENSORS.items() if name != lost}
    path = tiny_models.save_checkpoint(tmp_path / "partial.safetensors", tensors)
    with pytest.raises(ModelError, match=r"partial\.safetensors cannot be loaded"):
        load_single_file(path, CPU, configuration=configuration)


@pytest.mark.parametrize(
    "damage", ["nothing", "no index", "no weights", "no json", "sd2", "weights cut off", "tokenizer"]
)
def test_a_broken_folder_is_refused_by_name(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    if damage != "nothing":
        tiny_models.save_folder(folder)
    if damage == "no index":
        (folder / "model_index.json").unlink()
    elif damage == "no weights":
        for weights in folder.rglob("*.safetensors"):
            weights.unlink()
    elif damage == "no json":
        (folder / "unet" / "config.json").write_text("{")
    elif damage == "sd2":
        for name, key in (("unet", "cross_attention_dim"), ("text_encoder", "hidden_size")):
            path = folder / name / "config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {key: 1024}))
    elif damage == "weights cut off":
        (weights,) = (folder / "unet").glob("*.safetensors")
        weights.write_bytes(weights.read_bytes()[:-500])
    elif damage == "tokenizer":
        (folder / "tokenizer" / "vocab.json").unlink()
    with pytest.raises(ModelError, match="model"):
        load_model(folder)


@pytest.mark.parametrize("how", ["tensor", "metadata", "yaml", "folder", "not at all"])
def test_v_prediction_is_recognised(how: str, configuration: checkpoints.Configuration, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    if how == "folder":
        folder = tiny_models.save_folder(tmp_path)
        scheduler = folder / "scheduler" / "scheduler_config.json"
        scheduler.write_text(scheduler.read_text().replace('"epsilon"', '"v_prediction"'))
        model = load_model(folder)
    else:
        tensors = CHECKPOINT_TENSORS | ({"v_pred": torch.zeros(0)} if how == "tensor" else {})
        path = tmp_path / "v.safetensors"
        save_file(tensors, path, metadata={"modelspec.prediction_type": "v" if how == "metadata" else "epsilon"})
        parameterization = '"v"  # velocity' if how == "yaml" else "eps"
        path.with_suffix(".yaml").write_text(f"model:\n  params:\n    parameterization: {parameterization}\n")
        model = load_single_file(path, CPU, configuration=configuration)
    assert model.prediction == ("epsilon" if how == "not at all" else "v")
    (picture,) = model.generate(
        encode_prompts(model, ["a dog"], {}), encode_prompts(model, [""], {}), Sampling(32, 32, 2, 3.0), [1]
    )
    assert picture.size == (32, 32)


def test_half_precision_and_old_names_of_the_text_tower_are_understood(
    configuration: checkpoints.Configuration, folder: Path, tmp_path: Path
) -> None:
    tensors = {
        name.replace("transformer.text_model.", "transformer."): value.half()
        for name, value in CHECKPOINT_TENSORS.items()
    }
    tensors["cond_stage_model.transformer.embeddings.position_ids"] = torch.arange(77)[None]
    tensors["alphas_cumprod"] = torch.zeros(1000)
    tensors["model_ema.decay"] = torch.zeros(())
    path = tiny_models.save_checkpoint(tmp_path / "half.safetensors", tensors)
    model = load_single_file(path, CPU, configuration=configuration)
    assert context(model).dtype == torch.float32
    torch.testing.assert_close(context(model), context(load_model(folder)), atol=0.02, rtol=0.02)
