"""The vectors of a new word: where they start, how long they are, and how an optimiser step moves them.

Everywhere here a word's vectors are a mapping from text encoder name to a float32 tensor (n, D).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from ..diffusion import DiffusionModel
from ..embedding import load_embedding
from ..embedding.optimiser_file import OPTIMISER_SUFFIX, load_moments
from ..errors import EmbeddingFileError, ModelError, SettingsError, TrainingError
from ..text import vocabulary_words
from .memory import out_of_memory_as
from .randomness import step_generator
from .settings import TrainSettings

if TYPE_CHECKING:
    from ..scoring import ClipScorer

DUPLICATE_NOISE = 0.01  # length of the push that parts equal start vectors, relative to their own


@dataclass(frozen=True)
class Start:
    """Where a word begins: its `vectors` (n, D) per encoder, and `words` that say where they came from.

    `moments` are what an optimiser has already learned about moving them, named as in `LearnedWord.state()`;
    `warnings` say, a sentence each, what else there was and could not be used.
    """

    vectors: Mapping[str, Tensor]
    words: str
    moments: Mapping[str, Tensor] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def start_vectors(
    model: DiffusionModel, settings: TrainSettings, images: Sequence[Image.Image], scorer: ClipScorer | None
) -> Start:
    """The vectors that `settings.start` asks for.

    "auto" takes the `settings.vectors` vocabulary words nearest to `images` in CLIP's eyes, one vector each, and where
    CLIP's text tower is the model's own, moves the vectors until texts with them are most like the images;
    "file:PATH" the vectors of an embedding, which sets their number; anything else is read as words. With
    `settings.norm` "vocabulary" each vector is brought to the mean length of the vocabulary's, but those of an
    embedding stay as long as they are. Raises SettingsError, ModelError for an embedding of another model,
    EmbeddingFileError, and TrainingError where CLIP lacks memory.
    """
    start = given_start(model, settings, scorer)
    if start is None:
        assert scorer is not None
        words = nearest_vocabulary_words(model, settings.vectors, images, scorer)
        vectors = vectors_of_words(model, " ".join(words), settings.vectors)
        start = Start(fitted(model, settings, vectors, images, scorer), " ".join(words))
    vectors = parted(start.vectors, settings.seed)
    if settings.norm == "vocabulary":
        # Prompts know a learned word at its length; another one would change what they show before the first step.
        learned = settings.start_file is not None
        norms: Mapping[str, Tensor | float]
        norms = kept_norms(model, start.vectors) if learned else vocabulary_norms(model)
        vectors = {encoder: with_norm(rows, norms[encoder]) for encoder, rows in vectors.items()}
    return replace(start, vectors=vectors)


def given_start(model: DiffusionModel, settings: TrainSettings, scorer: ClipScorer | None) -> Start | None:
    """The vectors of the words or the file that `settings.start` names; None where `scorer` is to choose the words.

    Quick, and all that can be wrong with a start is found here. Raises as `start_vectors` does.
    """
    if settings.start_file is not None:
        return vectors_of_file(model, settings.start_file, settings.vectors)
    if settings.start != "auto":
        return Start(vectors_of_words(model, settings.start, settings.vectors), settings.start)
    if scorer is None:
        raise SettingsError(
            "Start 'auto' lets a CLIP model choose words from the pictures, and none is given; "
            "give a scorer, or words to start from such as 'toy'."
        )
    return None


def nearest_vocabulary_words(
    model: DiffusionModel, count: int, images: Sequence[Image.Image], scorer: ClipScorer
) -> list[str]:
    """The `count` words of the model's vocabulary that CLIP finds nearest to `images`, nearest first.

    Raises TrainingError where the memory does not suffice for CLIP.
    """
    from ..scoring import nearest_words

    candidates = [word for _, word in vocabulary_words(model.text_encoders[0].tokenizer)]
    refusal = TrainingError(
        "There is too little memory for the CLIP model that chooses the words to start from; give words yourself, "
        "such as start 'toy', or end other programs that use the memory."
    )
    with out_of_memory_as(lambda: refusal):
        return [word for word, _ in nearest_words(scorer, images, candidates, count)]


def fitted(
    model: DiffusionModel,
    settings: TrainSettings,
    vectors: Mapping[str, Tensor],
    images: Sequence[Image.Image],
    scorer: ClipScorer,
) -> dict[str, Tensor]:
    """`vectors` by encoder, those of the text tower that `scorer` has, too, made to fit `images`."""
    from ..scoring import OBJECT_TEXTS, STYLE_TEXTS, fitting_vectors, has_vocabulary

    texts = STYLE_TEXTS if settings.templates == "style" else OBJECT_TEXTS
    result = parted(vectors, settings.seed)  # equal vectors would climb alike
    for encoder in model.text_encoders:
        if has_vocabulary(scorer, encoder.vocabulary):
            result[encoder.name] = fitting_vectors(scorer, images, result[encoder.name], texts)
    return result


def vectors_of_words(model: DiffusionModel, words: str, count: int) -> dict[str, Tensor]:
    """`count` vectors per encoder made of the token vectors of `words`.

    As many tokens as vectors are taken as they are; fewer tokens are repeated in turn; more tokens are cut into `count`
    even runs, each replaced by its mean. Raises SettingsError where `words` hold no token.
    """
    vectors = {}
    for encoder in model.text_encoders:
        tokens = encoder.tokenizer.tokenize(words)
        if not tokens:
            raise SettingsError(f"Start {words!r} holds no word to start from; give words such as 'toy', or 'auto'.")
        rows = encoder.vocabulary[torch.tensor(tokens, device=encoder.vocabulary.device)]
        vectors[encoder.name] = spread(rows.detach().float().cpu(), count)
    return vectors


def spread(rows: Tensor, count: int) -> Tensor:
    """`rows` (k, D) repeated in turn, or averaged in even runs, to (count, D)."""
    if len(rows) <= count:
        return rows[torch.arange(count) % len(rows)]
    return torch.stack([run.mean(dim=0) for run in rows.tensor_split(count)])


def vectors_of_file(model: DiffusionModel, path: Path, count: int) -> Start:
    """The vectors of an embedding file, checked against the encoders; `count` 1 means as many as the file has.

    What A1111's optimiser knew of them comes along where that is kept beside the file.
    """
    embedding = load_embedding(path)
    if count not in (1, embedding.vector_count):
        raise SettingsError(
            f"{path.name} holds {embedding.vector_count} vectors, and {count} are asked for; "
            f"set the number of vectors to {embedding.vector_count}."
        )
    for encoder in model.text_encoders:
        width = encoder.vocabulary.shape[1]
        found = embedding.vectors.get(encoder.name)
        if found is None or found.shape[1] != width:
            have = ", ".join(f"{name} {rows.shape[1]} wide" for name, rows in embedding.vectors.items())
            raise ModelError(
                f"{path.name} holds vectors for {have}, but {model.title} needs {encoder.name} {width} wide; "
                "start from an embedding made for this kind of model."
            )
    vectors = {encoder.name: embedding.vectors[encoder.name].float().clone() for encoder in model.text_encoders}
    return Start(vectors, path.name, *moments_beside(path, vectors))


def moments_beside(path: Path, vectors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The moments and warnings of a `Start` from the embedding file at `path`: none of either where it lies alone."""
    beside = path.with_name(path.name + OPTIMISER_SUFFIX)
    if not os.path.exists(beside):  # Path.exists fails where the folder may not be searched
        return {}, ()
    moments = {}
    try:
        for encoder, rows in vectors.items():
            moments.update({f"{name}.{encoder}": tensor for name, tensor in load_moments(beside, rows).items()})
    except EmbeddingFileError as error:
        return {}, (f"The optimiser starts anew, since {error}",)
    return moments, ()


def parted(vectors: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """`vectors` with a small push, decided by `seed`, on each that equals an earlier one: equals would learn alike."""
    generator = step_generator(seed, 0, "start")
    result = {}
    for encoder, rows in vectors.items():
        rows = rows.clone()
        seen: set[bytes] = set()
        for index, row in enumerate(rows):
            key = row.numpy().tobytes()
            if key in seen:
                push = torch.randn(row.shape, generator=generator)
                rows[index] = row + push * (DUPLICATE_NOISE * row.norm() / push.norm())
            seen.add(key)
        result[encoder] = rows
    return result


def vocabulary_norms(model: DiffusionModel) -> dict[str, float]:
    """Mean length of the vocabulary's vectors, by encoder name."""
    return {encoder.name: encoder.vocabulary.float().norm(dim=1).mean().item() for encoder in model.text_encoders}


def kept_norms(model: DiffusionModel, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The length (n, 1), by encoder, that each of `vectors` keeps: its own, the vocabulary's mean if that is 0."""
    usual = vocabulary_norms(model)  # A1111 starts a word without initial text at zeros
    lengths = {encoder: rows.norm(dim=1, keepdim=True) for encoder, rows in vectors.items()}
    return {encoder: torch.where(own > 0, own, usual[encoder]) for encoder, own in lengths.items()}


def with_norm(rows: Tensor, norm: Tensor | float) -> Tensor:
    """Each of `rows` (n, D) scaled to length `norm`, one for all or (n, 1); directions stay."""
    scale: Tensor = norm / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return rows * scale


def tangential(gradient: Tensor, rows: Tensor) -> Tensor:
    """`gradient` (n, D) without the part along each of `rows`, which could only change their length."""
    direction: Tensor = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return gradient - (gradient * direction).sum(dim=1, keepdim=True) * direction


class LearnedWord:
    """The vectors being learned, float32 leaves on the model's device, and the AdamW that moves them.

    With `norms`, (n, 1) by encoder, learning is of the direction only, as in Directional Textual Inversion (Kim et al.,
    2025): the gradient loses its radial part, and vectors are scaled back after each step. Without, lengths are free.
    `hold` pulls the vectors towards their start as AdamW's weight decay pulls towards 0, in the place of that paper's
    prior: what four pictures say is true of many vectors, and prompts are obeyed by those near the model's own words.
    """

    def __init__(
        self,
        start: Mapping[str, Tensor],
        device: torch.device,
        *,
        norms: Mapping[str, Tensor] | None,
        weight_decay: float,
        clip_grad: float | None,
        hold: float = 0.0,
    ) -> None:
        self._norms = None if norms is None else {encoder: norm.to(device) for encoder, norm in norms.items()}
        self._hold = hold
        self._clip_grad = clip_grad
        self.vectors = {
            encoder: rows.detach().to(device, torch.float32, copy=True).requires_grad_()
            for encoder, rows in start.items()
        }
        self._start = {encoder: rows.detach().clone() for encoder, rows in self.vectors.items()}
        # Decay acts along the vector alone, so it would do nothing but be undone where lengths are kept.
        decay = 0.0 if norms is not None else weight_decay
        self._optimiser = torch.optim.AdamW(list(self.vectors.values()), weight_decay=decay)

    @torch.no_grad()
    def update(self, gradients: Mapping[str, Tensor], learning_rate: float) -> None:
        """One step of AdamW along `gradients`, (n, D) per encoder, clipped together to `clip_grad`."""
        for encoder, rows in self.vectors.items():
            gradient = gradients[encoder]
            rows.grad = tangential(gradient, rows) if self._norms is not None else gradient
        if self._clip_grad is not None:
            torch.nn.utils.clip_grad_norm_(list(self.vectors.values()), self._clip_grad)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        for encoder, rows in self.vectors.items():
            rows.lerp_(self._start[encoder], min(1.0, learning_rate * self._hold))
        if self._norms is not None:
            for encoder, rows in self.vectors.items():
                rows.copy_(with_norm(rows, self._norms[encoder]))

    def copied_vectors(self) -> dict[str, Tensor]:
        """The vectors as they are now, float32 on the CPU."""
        return {encoder: rows.detach().cpu().clone() for encoder, rows in self.vectors.items()}

    def is_finite(self) -> bool:
        """Whether no vector holds NaN or infinity."""
        return all(bool(rows.isfinite().all()) for rows in self.vectors.values())

    def state(self) -> dict[str, Tensor]:
        """All that is needed to go on, on the CPU, under names such as "vectors.clip_l" and "exp_avg.clip_l"."""
        tensors = {f"vectors.{encoder}": rows for encoder, rows in self.copied_vectors().items()}
        for encoder, rows in self.vectors.items():
            for name, value in self._optimiser.state[rows].items():
                tensors[f"{name}.{encoder}"] = value.detach().cpu().clone()
        return tensors

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `state` gave."""
        for encoder, rows in self.vectors.items():
            rows.copy_(tensors[f"vectors.{encoder}"])
            self._optimiser.state[rows].clear()
            for name in ("step", "exp_avg", "exp_avg_sq"):
                if f"{name}.{encoder}" in tensors:
                    value = tensors[f"{name}.{encoder}"].clone()
                    self._optimiser.state[rows][name] = value if name == "step" else value.to(rows.device)
