"""Which CLIP models are there is told from files alone; whatever can be loaded gives open_clip's own features."""

from __future__ import annotations

import io
import json
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from pseudoword.errors import ModelError
from pseudoword.scoring import ClipScorer
from pseudoword.scoring.models import (
    ClipModel,
    builtin_model,
    choose_default,
    load_model,
    models_at,
    models_here,
    named,
    pretrained_models,
)
from pseudoword.scoring.torchscript_file import read_torchscript
from tests import tiny_models
from tests.scoring.pictures import clip_folder, picture

open_clip = pytest.importorskip("open_clip")

ARCHITECTURE = "tiny-for-scoring"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip_folder(tmp_path_factory.mktemp("models"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home folder, with the caches of open_clip and Hugging Face in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path / "hub"), raising=False)
    yield tmp_path


@pytest.fixture(scope="module")
def known_architecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an architecture with CLIP's own tokens that open_clip knows by name."""
    place = tmp_path_factory.mktemp("architecture")
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    (place / "configs").mkdir()
    (place / "configs" / f"{ARCHITECTURE}.json").write_text(json.dumps(config))
    open_clip.add_model_config(place / "configs")
    with tiny_models.seeded(7):
        model = open_clip.create_model(ARCHITECTURE)
    torch.save({"state_dict": {f"module.{name}": one for name, one in model.state_dict().items()}}, place / "w.pt")
    return place


def test_without_any_other_the_built_in_one_is_the_default(home: Path) -> None:
    assert [model.origin for model in models_here()] == ["built in"]
    assert choose_default(models_here()) == builtin_model()
    assert load_model(builtin_model()).title.startswith("pseudoword-mini [")


def test_a_folder_with_a_configuration_is_a_model_and_becomes_the_default(home: Path, folder: Path) -> None:
    [model] = models_at(folder)
    assert (model.name, model.origin) == ("tiny-clip", "given") and model.size_bytes
    assert models_at(folder.parent)[0] == model
    assert choose_default(models_here([folder])) == model


def test_a_weight_file_of_a_known_architecture_is_a_model_with_open_clip_s_own_features(
    home: Path, known_architecture: Path
) -> None:
    path = home / f"{ARCHITECTURE}-mine.pt"
    shutil.copyfile(known_architecture / "w.pt", path)
    [model] = models_at(path)
    assert (model.name, model.architecture) == (f"{ARCHITECTURE}-mine", ARCHITECTURE)
    scorer = load_model(model)
    with tiny_models.seeded(7):
        own, _, preprocess = open_clip.create_model_and_transforms(ARCHITECTURE)
    images, texts = [picture(seed, (70, 40)) for seed in range(3)], ["a dog", "Two “cats” &amp; a fish", "word " * 99]
    tokenizer = open_clip.get_tokenizer(ARCHITECTURE)
    with torch.no_grad():
        pixels = torch.stack([preprocess(image) for image in images])
        assert torch.equal(pixels, torch.stack([scorer.preprocess(image) for image in images]))
        pictures = own.eval().encode_image(pixels, normalize=True)
        sentences = own.eval().encode_text(tokenizer(texts), normalize=True)
    torch.testing.assert_close(scorer.image_features(images), pictures, atol=1e-6, rtol=1e-5)
    assert F.cosine_similarity(scorer.text_features(texts), sentences).min() > 0.99999


def test_what_open_clip_once_downloaded_is_found_and_nothing_else(home: Path) -> None:
    known = pretrained_models()
    assert known and all(model.weights is None for model in known)
    assert len({model.name for model in known}) == len(known)
    with pytest.raises(ModelError, match="not on this disk"):
        load_model(known[0])
    pretrained = open_clip.pretrained
    url = next(
        url
        for architecture, tag in open_clip.list_pretrained()
        if "vit_b_32-quickgelu-laion400m_e32" in (url := pretrained.get_pretrained_cfg(architecture, tag)["url"])
    )
    cached = home / ".cache" / "clip" / Path(url).name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"nothing yet")
    [here] = [model for model in pretrained_models() if model.weights is not None]
    assert here.weights == cached and here.origin == "open_clip's cache" and "ViT-B-32" in here.name
    with pytest.raises(ModelError, match="cut off"):
        load_model(here)


def test_what_lies_in_hugging_face_s_cache_is_found(home: Path) -> None:
    repository = home / "hub" / "models--laion--CLIP-ViT-B-32-laion2B-s34B-b79K"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    weights = repository / "snapshots" / "abc" / "open_clip_pytorch_model.bin"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"nothing yet")
    here = named("vit-b-32:LAION2B_s34b_b79k", pretrained_models())
    assert (here.origin, here.weights) == ("Hugging Face's cache", weights)


@pytest.fixture(scope="module")
def traced(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of `folder` as OpenAI distributes its own: a program with the weights inside, written by torch."""
    scorer = ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")
    side = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]["vision_cfg"]["image_size"]
    pictures, texts = torch.ones(1, 3, side, side), torch.ones(1, 77, dtype=torch.long)
    path = tmp_path_factory.mktemp("traced") / "traced.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace_module(scorer._model, {"forward": (pictures, texts)}, check_trace=False)
        torch.jit.save(traced, str(path))
    return path


def test_weights_in_a_program_are_read_and_the_program_is_never_run(folder: Path, traced: Path) -> None:
    plain = ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")
    read = ClipScorer.load(folder / "open_clip_config.json", traced)
    assert read.identity == plain.identity
    assert torch.equal(read.text_features(["a dog"]), plain.text_features(["a dog"]))
    tensors = read_torchscript(traced)
    assert all(torch.equal(tensors[name], weight) for name, weight in plain._model.named_parameters())


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.99])
def test_a_program_with_weights_that_is_cut_off_is_named(
    folder: Path, traced: Path, tmp_path: Path, keep: float
) -> None:
    data = traced.read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: int(keep * len(data))])
    with pytest.raises(ModelError, match="cut.pt is cut off"):
        ClipScorer.load(folder / "open_clip_config.json", tmp_path / "cut.pt")


@pytest.mark.parametrize("wrong", [b"os\nsystem\n", b"torch._utils\n_rebuild_tensor_v3\n"])
def test_a_program_s_pickle_that_wants_more_than_weights_is_refused(traced: Path, tmp_path: Path, wrong: bytes) -> None:
    forged = tmp_path / "forged.pt"
    with zipfile.ZipFile(traced) as source, zipfile.ZipFile(forged, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("/data.pkl"):
                data = data.replace(b"torch._utils\n_rebuild_tensor_v2\n", wrong)
            target.writestr(name, data)
    with pytest.raises(ModelError, match="nothing of it was run"):
        read_torchscript(forged)


def test_modules_that_hold_one_another_again_and_again_end_the_reading(tmp_path: Path) -> None:
    """Each of 60 modules holds the one before twice: it would be 2^60 tensors by name."""
    twice = b"c__torch__\nModule\n)\x81}(X\x01\x00\x00\x00ah%cX\x01\x00\x00\x00bh%cubq%c"
    modules = b"".join(twice % (place, place, place + 1) for place in range(60))
    with zipfile.ZipFile(tmp_path / "shared.pt", "w") as archive:
        archive.writestr("shared/data.pkl", b"\x80\x02K\x01q\x00" + modules + b".")
        archive.writestr("shared/constants.pkl", b"")
    with pytest.raises(ModelError, match="more than any model"):
        read_torchscript(tmp_path / "shared.pt")


@pytest.mark.parametrize(
    ("place", "value"), [(6, 99), (8, 1), (10, 99)], ids=["of a later version", "encrypted", "packed otherwise"]
)
def test_an_archive_of_an_unknown_kind_is_refused_and_does_not_keep_others_from_the_list(
    home: Path, tmp_path: Path, place: int, value: int
) -> None:
    file = tmp_path / "ViT-B-32-mine.pt"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mine/data.pkl", b"N.")
        archive.writestr("mine/constants.pkl", b"")
    data = bytearray(file.read_bytes())
    data[data.index(b"PK\1\2") + place] = value  # in the archive's directory
    file.write_bytes(data)
    assert [model.name for model in models_at(tmp_path)] == ["ViT-B-32-mine"]
    with pytest.raises(ModelError, match="cut off or damaged"):
        read_torchscript(file)


def test_openai_s_own_file_in_another_tool_s_folder_is_read_with_openai_s_activation(
    home: Path, traced: Path, tmp_path: Path
) -> None:
    shutil.copyfile(traced, tmp_path / "ViT-L-14.pt")
    (found,) = models_at(tmp_path)
    assert (found.name, found.architecture, found.tag, found.problem) == ("ViT-L-14", "ViT-L-14", "openai", "")
    with pytest.raises(ModelError, match="does not fit its configuration"):  # this one is far smaller
        load_model(found)


def test_a_download_that_was_cut_off_is_listed_with_the_remedy(home: Path) -> None:
    file = home / ".cache" / "clip" / "ViT-B-32.pt"
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("archive/data.pkl", b"0" * 100)
    file.write_bytes(whole.getvalue()[:-30])
    (here,) = [model for model in models_here() if model.name == "ViT-B-32:openai"]
    assert here.problem == "its file ViT-B-32.pt is cut off; delete it, and download it again"
    with pytest.raises(ModelError, match="cut off"):
        load_model(here)


def test_the_default_is_the_largest_that_can_be_used() -> None:
    def one(name: str, size: int, problem: str = "") -> ClipModel:
        return ClipModel(name, "given", Path(name), size_bytes=size, problem=problem)

    models = [
        builtin_model(),
        one("ViT-B-32", 600),
        one("ViT-L-14", 1700),
        one("RN50x64", 2500),
        one("broken", 10**10, "x"),
    ]
    assert choose_default(models).name == "ViT-L-14"
    assert choose_default([models[3]]).name == "RN50x64"


def test_places_without_a_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "unknown-net.pt").write_bytes(b"")
    for place in (tmp_path, tmp_path / "unknown-net.pt", tmp_path / "nowhere"):
        with pytest.raises(ModelError, match="no CLIP model"):
            models_at(place)
    with pytest.raises(ModelError, match="list-clips"):
        named("no-such", models_here())


def test_weights_in_safetensors_and_torch_s_format_are_one_model(folder: Path, tmp_path: Path) -> None:
    torch.save(load_file(folder / "open_clip_model.safetensors"), tmp_path / "weights.pt")
    config = folder / "open_clip_config.json"
    first = ClipScorer.load(config, folder / "open_clip_model.safetensors")
    assert ClipScorer.load(config, tmp_path / "weights.pt").identity == first.identity


def test_other_preprocessing_is_another_model(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    config = json.loads((other / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["mean"] = [0.4, 0.4, 0.4]
    (other / "open_clip_config.json").write_text(json.dumps(config))
    weights = other / "open_clip_model.safetensors"
    changed = ClipScorer.load(other / "open_clip_config.json", weights)
    assert changed.identity != ClipScorer.load(folder / "open_clip_config.json", weights).identity


def test_a_tokenizer_that_is_not_on_this_disk_is_named(home: Path, folder: Path) -> None:
    other = Path(shutil.copytree(folder, home / "other"))
    config = json.loads((other / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "somebody/words"
    (other / "open_clip_config.json").write_text(json.dumps(config))
    if "hf_tokenizer_name" not in open_clip.CLIPTextCfg.__dataclass_fields__:
        pytest.skip("this open_clip knows no other tokenizers here")
    with pytest.raises(ModelError, match="somebody/words is not on this disk"):
        ClipScorer.load(other / "open_clip_config.json", other / "open_clip_model.safetensors")
    [model] = models_at(other)
    assert "somebody/words is not on this disk" in model.problem and choose_default([model]) == builtin_model()


def test_a_tokenizer_that_brings_a_program_is_refused_and_the_program_never_run(home: Path, folder: Path) -> None:
    other = Path(shutil.copytree(folder, home / "other"))
    config = json.loads((other / "open_clip_config.json").read_text())
    text = {"hf_tokenizer_name": "somebody/words", "tokenizer_kwargs": {"trust_remote_code": True}}
    config["model_cfg"]["text_cfg"].update(text)
    (other / "open_clip_config.json").write_text(json.dumps(config))
    (other / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["words.Words", null]}}')
    (other / "words.py").write_text(f"open({str(home / 'was-run')!r}, 'w').close()\nclass Words: pass")
    if not {"hf_tokenizer_name", "tokenizer_kwargs"} <= set(open_clip.CLIPTextCfg.__dataclass_fields__):
        pytest.skip("this open_clip knows no other tokenizers here")
    with pytest.raises(ModelError, match="trust_remote_code, which is not done here"):
        ClipScorer.load(other / "open_clip_config.json", other / "open_clip_model.safetensors")
    assert not (home / "was-run").exists()
