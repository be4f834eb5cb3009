"""Text before it reaches the UNet: tokens, chunks of 77 positions, new words among them, and the layer that is used."""

from .chunks import CHUNK_TOKENS, Chunk, chunk_prompt
from .encoder import ClipTextEncoder
from .open_clip_encoder import OpenClipTextEncoder
from .prompts import encode_negative, encode_prompts
from .tokenizer import BytePairTokenizer, vocabulary_words

__all__ = [
    "CHUNK_TOKENS",
    "BytePairTokenizer",
    "Chunk",
    "ClipTextEncoder",
    "OpenClipTextEncoder",
    "chunk_prompt",
    "encode_negative",
    "encode_prompts",
    "vocabulary_words",
]
