"""How well pictures and texts agree, by open_clip models."""

from .clip import ClipScorer
from .feature_cache import FeatureCache
from .folder import Listing, Portion, Unreadable, folder_features, pictures_below
from .heads import Head, load_head
from .inversion import OBJECT_TEXTS, STYLE_TEXTS, fitting_vectors, has_vocabulary
from .matrix import Scores
from .words import nearest_words
from .zero_shot import OPENAI_SEVEN_TEMPLATES, PLAIN_TEMPLATE, class_features, class_sentences, mean_features

__all__ = [
    "OBJECT_TEXTS",
    "OPENAI_SEVEN_TEMPLATES",
    "PLAIN_TEMPLATE",
    "STYLE_TEXTS",
    "ClipScorer",
    "FeatureCache",
    "Head",
    "Listing",
    "Portion",
    "Scores",
    "Unreadable",
    "class_features",
    "class_sentences",
    "fitting_vectors",
    "folder_features",
    "has_vocabulary",
    "load_head",
    "mean_features",
    "nearest_words",
    "pictures_below",
]
