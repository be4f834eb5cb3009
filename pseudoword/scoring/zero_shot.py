"""Classification without training: which of some names fits a picture, each name put into several sentences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import SettingsError
from .clip import ClipScorer
from .long_texts import LongTexts

PLAIN_TEMPLATE = ("a photo of a {}",)
# The seven sentences that OpenAI's notebook on prompts for ImageNet found best together (github.com/openai/CLIP, MIT).
OPENAI_SEVEN_TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
TEMPLATES = {"plain": PLAIN_TEMPLATE, "openai": OPENAI_SEVEN_TEMPLATES}


def class_features(
    scorer: ClipScorer, classes: Sequence[str], templates: Sequence[str] = PLAIN_TEMPLATE, long: LongTexts = "cut"
) -> Tensor:
    """Features (C, D) of unit length: for each class the mean of its sentences' features.

    `{}` in a template stands for the class. Raises SettingsError as `class_sentences` does.
    """
    # Not remembered: nobody asks for the same sentences again while a model is loaded, and there may be thousands.
    return mean_features(scorer.text_features(class_sentences(classes, templates), long, remember=False), len(classes))


def class_sentences(classes: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Each class in each template, the classes one after the other.

    Raises SettingsError where there is no class or no template, or a template has no place for the class.
    """
    if not classes or not templates:
        raise SettingsError(f"There is no {'template' if classes else 'class'} to compare pictures with; give one.")
    for template in templates:
        if "{}" not in template:
            raise SettingsError(f"The template {template[:60]!r} has no {{}}, which stands for the class; put one in.")
    return [template.replace("{}", name) for name in classes for template in templates]


def mean_features(each: Tensor, classes: int) -> Tensor:
    """Features (C, D) of unit length of so many classes, from those of their sentences (C · templates, D)."""
    features = each.unflatten(0, (classes, -1))  # (C, templates, D)
    return torch.stack([F.normalize(one.mean(dim=0), dim=0) for one in features])
