"""How well pictures and texts agree, by open_clip models."""

from .clip import ClipScorer
from .words import nearest_words

__all__ = ["ClipScorer", "nearest_words"]
