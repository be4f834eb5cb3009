"""An open_clip model that turns pictures and texts into features one can compare."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..errors import MissingExtra, ModelError

if TYPE_CHECKING:
    from open_clip import CLIP, CustomTextCLIP

IMAGES_AT_ONCE = 32
TEXTS_AT_ONCE = 256


class ClipScorer:
    """An open_clip model (2.20 to 3.x) with its own preprocessing and tokenizer; features are float32 on the CPU.

    Texts are remembered: asked again, they cost nothing.
    """

    def __init__(
        self,
        name: str,
        model: CLIP | CustomTextCLIP,
        preprocess: Callable[[Image.Image], Tensor],
        tokenize: Callable[[str], list[int]],
        device: torch.device | str = "cpu",
    ) -> None:
        self.name = name
        self._device = torch.device(device)
        self._model = model.to(self._device).eval().requires_grad_(False)
        self._preprocess = preprocess
        self._tokenize = tokenize
        self._known_texts: dict[str, Tensor] = {}

    @classmethod
    def builtin(cls, device: torch.device | str = "cpu") -> ClipScorer:
        """The scorer that ships with Pseudoword. Raises MissingExtra where open_clip is not installed."""
        from ..builtin import CHECKPOINT, OPEN_CLIP_FOLDER

        folder = Path(OPEN_CLIP_FOLDER)
        scorer = cls.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors", device=device)
        scorer.name = Path(CHECKPOINT).stem
        return scorer

    @classmethod
    def load(cls, config_json: Path, weights: Path, *, device: torch.device | str = "cpu") -> ClipScorer:
        """The model that `config_json` (open_clip's own format) describes, with `weights` (safetensors).

        A `bpe.txt.gz` beside the configuration is its tokenizer's list of merges; without one it is CLIP's. The folder
        gives the scorer its name. Raises ModelError for files that are missing, broken, or do not belong together, and
        MissingExtra where open_clip is not installed.
        """
        try:
            import open_clip
        except ImportError as error:
            raise MissingExtra("open_clip_torch", "standalone") from error
        config = read_config(config_json)
        settings = config["model_cfg"]
        if "hf_model_name" in settings["text_cfg"]:
            raise ModelError(
                f"{config_json} names a text tower that lies on a server; give an open_clip model that has its own."
            )
        custom_text = settings.pop("custom_text", False)
        try:
            model = (open_clip.CustomTextCLIP if custom_text else open_clip.CLIP)(**settings)
            preprocess = preprocessing(settings["vision_cfg"]["image_size"], config.get("preprocess_cfg", {}))
        except (TypeError, ValueError, KeyError) as error:
            raise ModelError(
                f"{config_json} does not describe a model that this open_clip can build: {error}"
            ) from error
        load_weights(model, weights)
        merges = config_json.parent / "bpe.txt.gz"
        size = int(settings["text_cfg"].get("vocab_size", 49408))
        tokenize = tokenizing(
            merges if merges.exists() else None, size, int(settings["text_cfg"].get("context_length", 77))
        )
        return cls(config_json.parent.name, model, preprocess, tokenize, device)

    @torch.no_grad()
    def image_features(self, images: Sequence[Image.Image]) -> Tensor:
        """Features (N, D) of unit length, N ≥ 1."""
        features = []
        for start in range(0, len(images), IMAGES_AT_ONCE):
            pixels = torch.stack([self._preprocess(image) for image in images[start : start + IMAGES_AT_ONCE]])
            features.append(F.normalize(self._model.encode_image(pixels.to(self._device)).float(), dim=-1).cpu())
        return torch.cat(features)

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Tensor:
        """Features (N, D) of unit length, N ≥ 1; texts longer than the model reads are cut off."""
        new = {text: self._tokenize(text) for text in texts if text not in self._known_texts}
        by_length = sorted(new, key=lambda text: sum(token != 0 for token in new[text]))
        for start in range(0, len(by_length), TEXTS_AT_ONCE):
            batch = by_length[start : start + TEXTS_AT_ONCE]
            tokens = torch.tensor([new[text] for text in batch], device=self._device)  # (B, context length)
            encoded = F.normalize(encode_texts(self._model, tokens).float(), dim=-1).cpu()
            self._known_texts.update(zip(batch, encoded, strict=True))
        return torch.stack([self._known_texts[text] for text in texts])

    @property
    def vocabulary(self) -> Tensor | None:
        """Input vectors (V, W) of the text tower's tokens; None for towers of another design than OpenAI's."""
        return self._model.token_embedding.weight if reads_to_the_end(self._model) else None

    def features_of_vectors(self, template: str, vectors: Tensor) -> Tensor:
        """Feature (D,) of unit length of `template` with input `vectors` (n, W) after it; gradients reach them.

        Only for towers that have a `vocabulary`.
        """
        text = self._tokenize(template)
        end = max(range(len(text)), key=text.__getitem__)  # the end token is the last of the vocabulary
        tokens = torch.tensor([*text[:end], *[0] * len(vectors), text[end]], device=self._device)
        embedded = self._model.token_embedding(tokens).detach()
        embedded = torch.cat([embedded[:end], vectors.to(embedded), embedded[-1:]])
        return F.normalize(read_vectors(self._model, embedded[None], tokens[None])[0].float(), dim=-1)


def reads_to_the_end(model: CLIP | CustomTextCLIP) -> bool:
    """Whether a text tower reads from left to right and answers at its last token, as all of OpenAI's design do."""
    return getattr(model, "attn_mask", None) is not None and getattr(model, "text_pool_type", "argmax") == "argmax"


def encode_texts(model: CLIP | CustomTextCLIP, tokens: Tensor) -> Tensor:
    """What `model.encode_text` makes of `tokens` (B, context length), leaving out positions that all rows leave empty.

    Where the tower `reads_to_the_end`, a short text then costs a seventh.
    """
    if not reads_to_the_end(model):
        encoded: Tensor = model.encode_text(tokens)
        return encoded
    tokens = tokens[:, : int((tokens != 0).sum(dim=1).max())]
    return read_vectors(model, model.token_embedding(tokens), tokens)


def read_vectors(tower: Any, vectors: Tensor, tokens: Tensor) -> Tensor:
    """Text features (B, D) of input `vectors` (B, length, W), which stand in for those of `tokens` (B, length)."""
    length, dtype, mask = tokens.shape[1], tower.transformer.get_cast_dtype(), tower.attn_mask
    x = vectors.to(dtype) + tower.positional_embedding[:length].to(dtype)  # (B, length, W)
    if getattr(tower.transformer, "batch_first", False):
        x = tower.transformer(x, attn_mask=mask[:length, :length])
    else:  # before open_clip 2.27
        x = tower.transformer(x.transpose(0, 1), attn_mask=mask[:length, :length]).transpose(0, 1)
    x = tower.ln_final(x)[torch.arange(len(tokens), device=tokens.device), tokens.argmax(dim=-1)]
    projection = tower.text_projection
    if projection is None:
        return x
    return projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection


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
    """Put the tensors of a safetensors file into `model`. Raises ModelError where some lack or do not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        model.load_state_dict(load_file(weights))
    except OSError as error:
        raise ModelError(f"{weights} cannot be read: {error}") from error
    except SafetensorError as error:
        raise ModelError(
            f"{weights} is cut off or not a safetensors file ({error}); download or convert it again."
        ) from error
    except RuntimeError as error:
        raise ModelError(f"{weights} does not fit its configuration: {' '.join(str(error).split())[:300]}") from error


def preprocessing(image_size: int | Sequence[int], given: dict[str, Any]) -> Callable[[Image.Image], Tensor]:
    """open_clip's own preprocessing of pictures for a tower of `image_size`, as the configuration wants it."""
    import open_clip
    from open_clip import transform

    mean = tuple(given.get("mean", open_clip.OPENAI_DATASET_MEAN))
    std = tuple(given.get("std", open_clip.OPENAI_DATASET_STD))
    options: dict[str, Any] = {
        key: given[key] for key in ("interpolation", "resize_mode", "fill_color") if key in given
    }
    if not hasattr(transform, "PreprocessCfg"):  # before open_clip 2.24: always bicubic, the shorter or the longer side
        if options.pop("interpolation", "bicubic") != "bicubic" or options.get("resize_mode") == "squash":
            raise ValueError("this open_clip resizes bicubically and keeps the sides' ratio; a newer one is needed")
        options["resize_longest_max"] = options.pop("resize_mode", "shortest") == "longest"
    made: Callable[[Image.Image], Tensor] = transform.image_transform(
        image_size, is_train=False, mean=mean, std=std, **options
    )
    return made


def tokenizing(merges: Path | None, vocabulary_size: int, length: int) -> Callable[[str], list[int]]:
    """open_clip's own tokenizer with start, end and zeros up to `length`. Raises ModelError for another vocabulary."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(bpe_path=str(merges)) if merges is not None else SimpleTokenizer()
    if tokenizer.vocab_size != vocabulary_size:
        raise ModelError(
            f"The tokenizer {merges or 'of CLIP'} has {tokenizer.vocab_size} tokens, but the model knows "
            f"{vocabulary_size}; put the model's own bpe.txt.gz beside its configuration."
        )
    start, end = tokenizer.all_special_ids[:2]

    def tokenize(text: str) -> list[int]:
        tokens = [start, *tokenizer.encode(text)[: length - 2], end]
        return tokens + [0] * (length - len(tokens))

    return tokenize
