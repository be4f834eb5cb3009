"""How well pictures and texts agree, by open_clip models."""

from .clip import ClipScorer
from .inversion import OBJECT_TEXTS, STYLE_TEXTS, fitting_vectors, has_vocabulary
from .words import nearest_words

__all__ = ["OBJECT_TEXTS", "STYLE_TEXTS", "ClipScorer", "fitting_vectors", "has_vocabulary", "nearest_words"]
