"""How well pictures and texts agree, by open_clip models."""

from .clip import ClipScorer
from .inversion import fitting_vectors, has_vocabulary
from .words import nearest_words

__all__ = ["ClipScorer", "fitting_vectors", "has_vocabulary", "nearest_words"]
