"""An open_clip model that turns pictures and texts into features one can compare."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .clip_files import Tokenizer, build, load_weights, preprocessing, read_config, tokenizing
from .image_tower import read_first_token_alone
from .long_texts import LongTexts, parts_of, told_of
from .side_by_side import side_by_side
from .text_tower import encode_texts, read_vectors, reads_to_the_end

if TYPE_CHECKING:
    from open_clip import CLIP, CustomTextCLIP

IMAGES_AT_ONCE = 32
TEXTS_AT_ONCE = 256
# Gives a model for passes as long as the block lasts: elsewhere it may be another's turn, or it may be moved.
Using: TypeAlias = "Callable[[], AbstractContextManager[ClipScorer]]"


class ClipScorer:
    """An open_clip model (2.20 to 3.x) with its own preprocessing and tokenizer; features are float32 on the CPU.

    `preprocess` turns a picture into its pixels (3, H, W), in any thread. Texts are remembered: asked again, they cost
    nothing.
    """

    def __init__(
        self,
        name: str,
        model: CLIP | CustomTextCLIP,
        preprocess: Callable[[Image.Image], Tensor],
        tokenizer: Tokenizer,
        device: torch.device | str = "cpu",
        described: str = "",
    ) -> None:
        self.name = name
        self.preprocess = preprocess
        self._device = torch.device(device)
        self._model = model.to(self._device).eval().requires_grad_(False)
        read_first_token_alone(model)
        self._tokenizer = tokenizer
        self._described = described
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
        """The model that `config_json` (open_clip's own format) describes, with `weights` (safetensors, or torch's).

        A `bpe.txt.gz` beside the configuration is its tokenizer's list of merges; without one it is CLIP's. The folder
        gives the scorer its name. Raises ModelError for files that are missing, broken, or do not belong together, and
        MissingExtra where open_clip is not installed.
        """
        config = read_config(config_json)
        return cls.of_config(config_json.parent.name, config, weights, str(config_json), config_json.parent, device)

    @classmethod
    def of_config(
        cls,
        name: str,
        config: dict[str, Any],
        weights: Path,
        source: str,
        folder: Path | None = None,
        device: torch.device | str = "cpu",
    ) -> ClipScorer:
        """The model of a configuration that was read from `source`, which errors name; see `load`.

        `folder` is where the tokenizer's files lie, where it is not CLIP's.
        """
        settings = config["model_cfg"]
        model = build(settings, source)
        preprocess = preprocessing(
            settings["vision_cfg"].get("image_size", 224), config.get("preprocess_cfg", {}), source
        )
        load_weights(model, weights)
        tokenizer = tokenizing(settings["text_cfg"], folder)
        merges = b"" if folder is None or not (folder / "bpe.txt.gz").exists() else (folder / "bpe.txt.gz").read_bytes()
        described = json.dumps(config, sort_keys=True) + hashlib.sha256(merges).hexdigest()
        return cls(name, model, preprocess, tokenizer, device, described)

    @cached_property
    def identity(self) -> str:
        """What tells this model from all others: SHA-256 of its configuration, its tokenizer's merges and its weights.

        Two files of the same weights are the same model, whatever they are called.
        """
        digest = hashlib.sha256(self._described.encode())
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def move(self, device: torch.device | str) -> None:
        """Compute on `device` from now on."""
        self._device = torch.device(device)
        self._model.to(self._device)

    def alone(self) -> AbstractContextManager[ClipScorer]:
        """`Using` of a model that nobody else uses."""
        return nullcontext(self)

    @property
    def title(self) -> str:
        """Its name, and enough of its identity that two models of one name are told apart."""
        return f"{self.name} [{self.identity[:10]}]"

    @property
    def logit_scale(self) -> float:
        """By what the model multiplies cosines before a softmax; it was learned, and is about 100 for large models."""
        return float(self._model.logit_scale.exp())

    @cached_property
    def width(self) -> int:
        """How many numbers a feature has."""
        return self.text_features([""]).shape[1]

    def image_features(self, images: Sequence[Image.Image]) -> Tensor:
        """Features (N, D) of unit length, N ≥ 1."""
        features = []
        for start in range(0, len(images), IMAGES_AT_ONCE):
            pixels = torch.stack([self.preprocess(image) for image in images[start : start + IMAGES_AT_ONCE]])
            features.append(self.features_of_pixels(pixels))
        return torch.cat(features)

    def features_of_pixels(self, pixels: Tensor) -> Tensor:
        """Features (N, D) of unit length of preprocessed `pixels` (N, 3, H, W), all at once."""
        return side_by_side(self._encoded, pixels) if self._device.type == "cpu" else self._encoded(pixels)

    @torch.no_grad()
    def _encoded(self, pixels: Tensor) -> Tensor:
        return F.normalize(self._model.encode_image(pixels.to(self._device)).float(), dim=-1).cpu()

    def token_count(self, text: str) -> int:
        """How many tokens `text` has, without start and end."""
        return self._tokenizer.count(text)

    @property
    def token_room(self) -> int:
        """How many tokens of a text the model reads, without start and end; 75 of the usual 77."""
        return self._tokenizer.room

    def too_long(self, texts: Sequence[str]) -> dict[str, int]:
        """Those of `texts` that have more tokens than the model reads, with their number of tokens."""
        counts = {text: self.token_count(text) for text in texts}
        return {text: count for text, count in counts.items() if count > self.token_room}

    def told_of_long(self, texts: Sequence[str], long: LongTexts) -> list[str]:
        """What is to be said of those of `texts` that have more tokens than the model reads, a sentence each."""
        return [told_of(text, count, self.token_room, long) for text, count in self.too_long(texts).items()]

    def text_features(self, texts: Sequence[str], long: LongTexts = "cut", *, remember: bool = True) -> Tensor:
        """Features (N, D) of unit length, N ≥ 1.

        Of a text that is longer than the model reads the rest is cut off, or with `long` "mean" it is read in parts
        that end between words, and its feature is their mean, each weighted by its tokens.
        """
        if long == "cut":
            return self._features_of_texts(texts, remember)
        parts = [parts_of(text, self.token_count, self.token_room) for text in texts]
        features = iter(self._features_of_texts([part for text in parts for part in text], remember))
        return torch.stack([self._mean([(part, next(features)) for part in text]) for text in parts])

    def _mean(self, parts: Sequence[tuple[str, Tensor]]) -> Tensor:
        """Feature (D,) of a text from those of its parts."""
        if len(parts) == 1:
            return parts[0][1]
        return F.normalize(torch.stack([self.token_count(part) * feature for part, feature in parts]).sum(dim=0), dim=0)

    @torch.no_grad()
    def _features_of_texts(self, texts: Sequence[str], remember: bool) -> Tensor:
        known = self._known_texts if remember else {}
        new = {text: self._tokenizer.frame(text) for text in texts if text not in known}
        by_length = sorted(new, key=lambda text: sum(token != 0 for token in new[text]))
        for start in range(0, len(by_length), TEXTS_AT_ONCE):
            batch = by_length[start : start + TEXTS_AT_ONCE]
            tokens = torch.tensor([new[text] for text in batch], device=self._device)  # (B, context length)
            encoded = F.normalize(encode_texts(self._model, tokens).float(), dim=-1).cpu()
            known.update(zip(batch, encoded, strict=True))
        return torch.stack([known[text] for text in texts])

    @property
    def vocabulary(self) -> Tensor | None:
        """Input vectors (V, W) of the text tower's tokens; None for towers of another design than OpenAI's."""
        return self._model.token_embedding.weight if reads_to_the_end(self._model) else None

    def features_of_vectors(self, template: str, vectors: Tensor) -> Tensor:
        """Feature (D,) of unit length of `template` with input `vectors` (n, W) after it; gradients reach them.

        Only for towers that have a `vocabulary`.
        """
        text = self._tokenizer.frame(template)
        end = max(range(len(text)), key=text.__getitem__)  # the end token is the last of the vocabulary
        tokens = torch.tensor([*text[:end], *[0] * len(vectors), text[end]], device=self._device)
        embedded = self._model.token_embedding(tokens).detach()
        embedded = torch.cat([embedded[:end], vectors.to(embedded), embedded[-1:]])
        return F.normalize(read_vectors(self._model, embedded[None], tokens[None])[0].float(), dim=-1)
