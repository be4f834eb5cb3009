"""Which words CLIP would use for some pictures."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch.nn import functional as F

from .clip import ClipScorer


def nearest_words(
    scorer: ClipScorer,
    images: Sequence[Image.Image],
    words: Sequence[str],
    count: int,
    template: str = "a photo of a {}",
) -> list[tuple[str, float]]:
    """The `count` of `words` that fit all `images` together best, with their cosine similarity (-1 … 1), best first.

    `{}` in `template` stands for the word. Each word's features are computed once for a scorer, and kept.
    """
    if not images or not words:
        return []
    together = F.normalize(scorer.image_features(images).mean(dim=0), dim=0)  # (D,)
    similarities = scorer.text_features([template.replace("{}", word) for word in words]) @ together  # (W,)
    best = similarities.topk(min(count, len(words)))
    return [(words[place], float(value)) for value, place in zip(best.values, best.indices.tolist(), strict=True)]
