"""Prompts to conditioning for training: nothing is encoded twice that does not change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ..diffusion import Conditioning, DiffusionModel
from ..text import chunk_prompt, encode_negative, encode_prompts
from ..text.prompts import Fixed


class PromptEncoder:
    """Encodes prompts that may use the new word `word`; chunks of them that do not are encoded once and kept."""

    def __init__(self, model: DiffusionModel, word: str, clip_skip: int) -> None:
        self._model = model
        self._word = word
        self._clip_skip = clip_skip
        self._fixed: Fixed = {}
        self._uses_word: dict[str, bool] = {}

    def uses_word(self, prompt: str) -> bool:
        """Whether `prompt` holds the new word as a whole word."""
        if prompt not in self._uses_word:
            chunks = chunk_prompt(prompt, self._model.text_encoders[0].tokenizer, {self._word: 1})
            self._uses_word[prompt] = any(chunk.word_vectors for chunk in chunks)
        return self._uses_word[prompt]

    def encode(self, prompts: Sequence[str], vectors: Mapping[str, Tensor], least_chunks: int = 1) -> Conditioning:
        """One row per prompt, differentiable with respect to `vectors` (n, D) per encoder, the new word's.

        Each row has as many chunks as the longest prompt, and at least `least_chunks`.
        """
        words = {self._word: vectors}
        return encode_prompts(self._model, prompts, words, self._clip_skip, self._fixed, least_chunks)

    def most_chunks(self, prompts: Sequence[str], vectors: Mapping[str, Tensor]) -> int:
        """How many chunks the longest of `prompts` has."""
        encoder = self._model.text_encoders[0]
        counts = {self._word: len(vectors[encoder.name])}
        return max(len(chunk_prompt(prompt, encoder.tokenizer, counts)) for prompt in prompts)

    def encode_fixed(self, prompt: str) -> Conditioning:
        """The row of a prompt without the new word."""
        return encode_prompts(self._model, [prompt], {}, self._clip_skip, self._fixed)

    def encode_no_negative(self) -> Conditioning:
        """The row of the negative prompt where there is none."""
        return encode_negative(self._model, "", {}, self._clip_skip, self._fixed)


def rows_of(conditioning: Conditioning, rows: Tensor) -> Conditioning:
    """The `rows` (B,) of `conditioning`, in that order."""
    pooled = conditioning.pooled
    return Conditioning(conditioning.context[rows], None if pooled is None else pooled[rows])
