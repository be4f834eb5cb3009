"""Embeddings: what they are, their files in every format in the wild, their names, and folders of them."""

from pseudoword.embedding.embedding import ENCODERS, Embedding
from pseudoword.embedding.files import SUFFIXES, FileFormat, load_embedding, save_embedding
from pseudoword.embedding.half_precision import rounded_to_fp16
from pseudoword.embedding.library import EmbeddingLibrary
from pseudoword.embedding.metadata import EmbeddingMetadata
from pseudoword.embedding.names import check_name

__all__ = [
    "ENCODERS",
    "SUFFIXES",
    "Embedding",
    "EmbeddingLibrary",
    "EmbeddingMetadata",
    "FileFormat",
    "check_name",
    "load_embedding",
    "rounded_to_fp16",
    "save_embedding",
]
