"""Input vectors of CLIP's text tower whose texts say what pictures show."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .clip import ClipScorer

OBJECT_TEXTS = ("a photo of a", "a photo of the", "a picture of a", "this is a")
STYLE_TEXTS = ("a picture in the style of", "a painting in the style of", "a drawing in the style of")
STEPS = 150
RATE = 0.4  # of a vector's mean component, for each step of Adam


def has_vocabulary(scorer: ClipScorer, vocabulary: Tensor) -> bool:
    """Whether the text tower of `scorer` reads the input vectors of `vocabulary` (V, W), apart from rounding."""
    own = scorer.vocabulary
    if own is None or own.shape != vocabulary.shape:
        return False
    difference = (own.detach().float().cpu() - vocabulary.detach().float().cpu()).abs().max()
    return bool(difference <= 0.01 * own.abs().max())


def fitting_vectors(
    scorer: ClipScorer, images: Sequence[Image.Image], start: Tensor, texts: Sequence[str] = OBJECT_TEXTS
) -> Tensor:
    """Vectors (n, W), from `start` (n, W) on, whose texts are most like `images`; float32 on the CPU, lengths kept.

    Each of `texts` with the vectors after it climbs to the mean of the images' features. It takes seconds, since only
    the text tower is at work. The scorer must read the vocabulary of whoever uses the vectors (`has_vocabulary`).
    """
    goal = F.normalize(scorer.image_features(images).mean(dim=0), dim=0)  # (D,)
    lengths = start.norm(dim=1, keepdim=True)
    vectors = start.detach().float().cpu().clone()
    with torch.enable_grad():
        vectors.requires_grad_()
        optimiser = torch.optim.Adam([vectors], lr=RATE * float(lengths.mean()) / start.shape[1] ** 0.5)
        for _ in range(STEPS):
            features = [scorer.features_of_vectors(text, vectors).cpu() for text in texts]
            optimiser.zero_grad()
            torch.autograd.backward(-(torch.stack(features) @ goal).mean())
            optimiser.step()
            with torch.no_grad():
                vectors.mul_(lengths / vectors.norm(dim=1, keepdim=True).clamp(min=1e-12))
    return vectors.detach()
