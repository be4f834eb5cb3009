"""Pictures of the word, and the two figures of the textual-inversion paper (Gal et al., 2023) that judge them.

Likeness: how similar pictures of the word are to the training pictures: the mean cosine of their CLIP image features.
Editability: how well prompts that use the word are followed: the mean cosine of the CLIP features of each such picture
and of its prompt without the word. One goes up at the other's cost, so neither is worth much alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor

from ..diffusion import BetweenPasses, DiffusionModel, Sampling, go_on
from .conditioning import PromptEncoder
from .settings import TrainSettings

if TYPE_CHECKING:
    from ..scoring import ClipScorer

PREVIEW_PICTURES = 4

OBJECT_EDITS = (
    ("a photo of [name] on a red background", "a photo on a red background"),
    ("a photo of [name] on a blue background", "a photo on a blue background"),
    ("a photo of [name] in the snow", "a photo in the snow"),
    ("an oil painting of [name]", "an oil painting"),
)
STYLE_EDITS = (
    ("a picture of a cat in the style of [name]", "a picture of a cat"),
    ("a picture of a car in the style of [name]", "a picture of a car"),
    ("a picture of a house in the style of [name]", "a picture of a house"),
    ("a picture of a tree in the style of [name]", "a picture of a tree"),
)
"""Prompts that ask something of the word, and what is left of them without it, which the pictures are compared with."""


@dataclass(frozen=True)
class Preview:
    """Pictures for the preview prompt and for each edit; the figures are cosines, None where there is no scorer."""

    pictures: list[Image.Image]
    edits: list[Image.Image]
    likeness: float | None
    editability: float | None


class Judge:
    """Makes and judges previews of one word: always with the same prompts and seeds, so that they can be compared."""

    def __init__(
        self,
        model: DiffusionModel,
        prompts: PromptEncoder,
        settings: TrainSettings,
        training_pictures: Sequence[Image.Image],
        scorer: ClipScorer | None,
        between_passes: BetweenPasses = go_on,
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._preview_prompt = settings.preview_prompt.replace("[name]", settings.name)
        edits = STYLE_EDITS if settings.templates == "style" else OBJECT_EDITS
        self._edit_prompts = [prompt.replace("[name]", settings.name) for prompt, _ in edits]
        side = settings.size or model.native_size
        self._sampling = Sampling(width=side, height=side)
        self._scorer = scorer
        self._between_passes = between_passes
        self._training_features = None if scorer is None else scorer.image_features(training_pictures)
        self._edit_features = None if scorer is None else scorer.text_features([text for _, text in edits])

    def preview(self, vectors: Mapping[str, Tensor]) -> Preview:
        """Pictures of the word with `vectors` (n, D) by encoder, and their figures. Leaves gradients alone."""
        fixed = {encoder: rows.detach() for encoder, rows in vectors.items()}
        pictures = self._generate(self._preview_prompt, fixed, range(PREVIEW_PICTURES))
        edits = [self._generate(prompt, fixed, [seed])[0] for seed, prompt in enumerate(self._edit_prompts)]
        if self._scorer is None or self._training_features is None or self._edit_features is None:
            return Preview(pictures, edits, None, None)
        likeness = self._scorer.image_features(pictures) @ self._training_features.T  # (preview, training)
        editability = (self._scorer.image_features(edits) * self._edit_features).sum(dim=1)  # (edits,)
        return Preview(pictures, edits, likeness.mean().item(), editability.mean().item())

    def _generate(self, prompt: str, vectors: Mapping[str, Tensor], seeds: Sequence[int]) -> list[Image.Image]:
        if self._prompts.uses_word(prompt):
            conditioning = self._prompts.encode([prompt], vectors)
        else:
            conditioning = self._prompts.encode_fixed(prompt)
        negative = self._prompts.encode_no_negative()
        return self._model.generate(conditioning, negative, self._sampling, list(seeds), self._between_passes)
