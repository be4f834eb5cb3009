"""The files of an open_clip model: its configuration, its weights, and what goes before its towers."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import MissingExtra, ModelError
from .torchscript_file import is_torchscript, read_torchscript

if TYPE_CHECKING:
    from open_clip import CLIP, CustomTextCLIP

TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER_OPTIONS = {"clean", "strip_sep_token", "language", "tokenizer_mode"}  # open_clip's own
TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")


@dataclass(frozen=True)
class Tokenizer:
    """Texts to tokens, as one model wants them.

    `frame` gives a text between start and end, cut off and filled up to the model's length; `count` how many tokens the
    whole text has, and `room` how many of them the model reads.
    """

    room: int
    count: Callable[[str], int]
    frame: Callable[[str], list[int]]


def build(settings: dict[str, Any], source: str) -> CLIP | CustomTextCLIP:
    """The model, with no weights yet, that `settings` describe: the model's part of a configuration.

    Raises ModelError that names the `source`, also for towers that only a server has, and MissingExtra. Nothing is
    downloaded, whatever the `settings` ask for.
    """
    try:
        import open_clip
    except ImportError as error:
        raise MissingExtra("open_clip_torch", "standalone") from error
    if "hf_model_name" in settings["text_cfg"]:
        raise ModelError(
            f"{source} names a text tower that lies on a server; give an open_clip model that has its own."
        )
    settings = json.loads(json.dumps(settings))  # open_clip changes what it is given
    network = settings["vision_cfg"].get("timm_model_name")
    if network and ":" in str(network):  # timm would ask the server before the colon for it
        raise ModelError(f"{source} names an image tower that lies elsewhere, {network}; give a model with timm's own.")
    settings["vision_cfg"]["timm_model_pretrained"] = False  # all weights are in the model's own file
    custom_text = settings.pop("custom_text", False)
    try:
        if "multimodal_cfg" in settings:
            return open_clip.CoCa(**settings)
        return (open_clip.CustomTextCLIP if custom_text else open_clip.CLIP)(**settings)
    except (TypeError, ValueError, KeyError, RuntimeError, AttributeError, AssertionError) as error:
        raise ModelError(f"{source} does not describe a model that this open_clip can build: {error}") from error


def read_config(path: Path) -> dict[str, Any]:
    """An `open_clip_config.json`; one that holds the model's part alone is accepted, too. Raises ModelError."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as an open_clip configuration: {error}") from error
    if isinstance(config, dict) and "model_cfg" not in config:
        config = {"model_cfg": config}
    model = config["model_cfg"] if isinstance(config, dict) else None
    parts = [model.get(part) for part in ("vision_cfg", "text_cfg")] if isinstance(model, dict) else [None]
    if not isinstance(config, dict) or not all(isinstance(part, dict) for part in parts):
        raise ModelError(f"{path} is not an open_clip configuration: it must name embed_dim, vision_cfg and text_cfg.")
    return config


def load_weights(model: CLIP | CustomTextCLIP, weights: Path) -> None:
    """Put the tensors of a file into `model`. Raises ModelError where some lack or do not fit."""
    tensors = weights_for(model, weights)
    if "positional_embedding" in tensors and not hasattr(model, "positional_embedding"):
        from open_clip.model import convert_to_custom_text_state_dict

        tensors = convert_to_custom_text_state_dict(tensors)
    own = model.state_dict()
    # Older files hold this list of numbers, which is no weight; others give these two as a row of one.
    tensors = {name: tensor for name, tensor in tensors.items() if name in own or not name.endswith("position_ids")}
    for name in ("logit_scale", "logit_bias"):
        if name in tensors and name in own and tensors[name].numel() == 1:
            tensors[name] = tensors[name].reshape(own[name].shape)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{weights} does not fit its configuration: {' '.join(str(error).split())[:300]}") from error


def weights_for(model: CLIP | CustomTextCLIP, path: Path) -> dict[str, Tensor]:
    """The tensors of a file, without those of a TorchScript archive's modules that `model` does not know: its masks.

    Raises ModelError.
    """
    with suppress(OSError, BadZipFile):
        if path.suffix.lower() in TORCH_SUFFIXES and is_torchscript(path):
            own = model.state_dict()
            return {name: tensor for name, tensor in read_torchscript(path).items() if name in own}
    return read_weights(path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of safetensors, or of torch's, by name. No pickle is executed. Raises ModelError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix.lower() not in TORCH_SUFFIXES:
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    except SafetensorError as error:
        raise ModelError(
            f"{path} is cut off or not a safetensors file ({error}); download or convert it again."
        ) from error
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(
            f"{path} is cut off, or holds a program beside its weights, which is not run "
            f"({' '.join(str(error).split())[:120]}); download it again, or give its safetensors file."
        ) from error
    content = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(content, dict) or not content or not all(isinstance(one, Tensor) for one in content.values()):
        raise ModelError(f"{path} is no file of weights: it must hold tensors by name.")
    prefix = "module."  # of a model that was trained on several GPUs
    if all(name.startswith(prefix) for name in content):
        content = {name[len(prefix) :]: tensor for name, tensor in content.items()}
    return content


def preprocessing(
    image_size: int | Sequence[int], given: dict[str, Any], source: str
) -> Callable[[Image.Image], Tensor]:
    """open_clip's own preprocessing of pictures for a tower of `image_size`, as the configuration wants it.

    Raises ModelError that names the `source` where this open_clip cannot do that.
    """
    import open_clip
    from open_clip import transform

    mean = tuple(given.get("mean") or open_clip.OPENAI_DATASET_MEAN)
    std = tuple(given.get("std") or open_clip.OPENAI_DATASET_STD)
    options: dict[str, Any] = {
        key: given[key] for key in ("interpolation", "resize_mode", "fill_color") if key in given
    }
    if not hasattr(transform, "PreprocessCfg"):  # before open_clip 2.24: always bicubic, the shorter or the longer side
        if options.pop("interpolation", "bicubic") != "bicubic" or options.get("resize_mode") == "squash":
            raise ModelError(
                f"{source} wants pictures resized in a way that this open_clip, which resizes bicubically and keeps "
                "the sides' ratio, does not know; a newer open_clip is needed."
            )
        options["resize_longest_max"] = options.pop("resize_mode", "shortest") == "longest"
    try:
        made = transform.image_transform(image_size, is_train=False, mean=mean, std=std, **options)
    except (TypeError, ValueError, KeyError, AssertionError) as error:
        raise ModelError(f"{source} wants a preprocessing that this open_clip does not know: {error}") from error
    *cutting, as_tensor, normalize = made.transforms
    # What becomes of each of a byte's 256 values is computed once, and looked up without torch: its operations would
    # keep threads of their own busy in every thread that decodes.
    values = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    becomes = normalize(as_tensor(Image.fromarray(values))).numpy()[:, 0]  # (3, 256)

    def preprocess(picture: Image.Image) -> Tensor:
        for step in cutting:
            picture = step(picture)
        pixels = np.asarray(picture)  # (H, W, 3)
        found = np.empty((3, *pixels.shape[:2]), dtype=np.float32)
        for channel in range(3):
            np.take(becomes[channel], pixels[..., channel], out=found[channel], mode="clip")
        return torch.from_numpy(found)

    return preprocess


def tokenizing(text_settings: dict[str, Any], folder: Path | None) -> Tokenizer:
    """open_clip's own tokenizer for the text tower that `text_settings` describe.

    A `bpe.txt.gz` in `folder` is its list of merges, CLIP's own where there is none; a tokenizer of another kind must
    lie in `folder` or in Hugging Face's cache. Raises ModelError for another vocabulary and a tokenizer that lacks.
    """
    length = int(text_settings.get("context_length", 77))
    if text_settings.get("hf_tokenizer_name"):
        return _foreign_tokenizer(text_settings, folder, length)
    from open_clip.tokenizer import SimpleTokenizer

    vocabulary_size = int(text_settings.get("vocab_size", 49408))
    merges = None if folder is None or not (folder / "bpe.txt.gz").exists() else folder / "bpe.txt.gz"
    tokenizer = SimpleTokenizer(bpe_path=str(merges)) if merges is not None else SimpleTokenizer()
    if tokenizer.vocab_size != vocabulary_size:
        raise ModelError(
            f"The tokenizer {merges or 'of CLIP'} has {tokenizer.vocab_size} tokens, but the model knows "
            f"{vocabulary_size}; put the model's own bpe.txt.gz beside its configuration."
        )
    start, end = tokenizer.all_special_ids[:2]

    def frame(text: str) -> list[int]:
        tokens = [start, *tokenizer.encode(text)[: length - 2], end]
        return tokens + [0] * (length - len(tokens))

    return Tokenizer(length - 2, lambda text: len(tokenizer.encode(text)), frame)


def tokenizer_place(name: str, folder: Path | None) -> Path | None:
    """Where the files of the tokenizer called `name` lie: in `folder` or in Hugging Face's cache; None if nowhere."""
    if folder is not None and (folder / TOKENIZER_CONFIG).exists():
        return folder
    cached = None
    with suppress(ImportError, ValueError):  # what is no name of a repository is in no cache
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(name, TOKENIZER_CONFIG)
    return Path(cached).parent if isinstance(cached, str) else None


def _foreign_tokenizer(text_settings: dict[str, Any], folder: Path | None, length: int) -> Tokenizer:
    """A tokenizer of another kind than CLIP's, from files on this disk."""
    from open_clip.tokenizer import HFTokenizer

    name = str(text_settings["hf_tokenizer_name"])
    place = tokenizer_place(name, folder)
    if place is None:
        raise ModelError(
            f"The tokenizer {name} is not on this disk; put its files, {TOKENIZER_CONFIG} among them, beside the "
            "model's configuration."
        )
    options = dict(text_settings.get("tokenizer_kwargs") or {})
    if unknown := sorted(set(options) - TOKENIZER_OPTIONS):  # one of transformers' lets programs be fetched, and run
        raise ModelError(f"The tokenizer {name} is configured with {', '.join(unknown)}, which is not done here.")
    try:
        tokenizer = HFTokenizer(str(place), **options)
        tokenizer(["a"], context_length=length)
    except Exception as error:  # whatever its package makes of its files
        raise ModelError(f"The tokenizer in {place} cannot be used by this open_clip: {error}") from error
    specials = len(tokenizer.tokenizer("").input_ids)
    return Tokenizer(
        length - specials,
        lambda text: len(tokenizer.tokenizer(text).input_ids) - specials,
        lambda text: tokenizer([text], context_length=length)[0].tolist(),
    )
