"""CLIP's byte-pair tokenizer, from whichever file it comes in, for full vocabularies and for ones cut to a prefix.

The ids are those of transformers' fast CLIP tokenizer; the `tokenizers` library does the work. A vocabulary is laid out
as 256 byte letters, the same 256 ending a word, one entry per merge, start, end: so the merges alone determine it.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..diffusion import Tokenizer
from ..errors import MissingExtra, ModelError

WORD_END = "</w>"
START, END = "<|startoftext|>", "<|endoftext|>"
CLIP_VOCABULARY_SIZE = 49408
# CLIP cuts text into these before any merge (Radford et al., 2021): contractions, letters, one digit, anything else.
PIECES = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def byte_letters() -> dict[int, str]:
    """The printable letter that stands for each byte, in the order of CLIP's vocabulary (GPT-2's byte alphabet)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(0x100 + place) for place, byte in enumerate(others)}


class BytePairTokenizer:
    """CLIP's tokenizer without start, end and padding; implements `pseudoword.diffusion.Tokenizer`.

    `vocabulary` maps each token's text (byte letters, `</w>` at a word's end) to its id and holds START and END;
    `merges` are pairs of tokens, most important first. Padding is the end token, as Stable Diffusion 1.x has it; for
    2.x, set `pad_id` to 0.
    """

    def __init__(self, vocabulary: dict[str, int], merges: Sequence[tuple[str, str]]) -> None:
        from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers
        from tokenizers import Tokenizer as Pipeline

        self.start_id, self.end_id = vocabulary[START], vocabulary[END]
        self.pad_id = self.end_id
        self._texts = {token_id: text for text, token_id in vocabulary.items()}
        self._bytes = {letter: byte for byte, letter in byte_letters().items()}
        model = models.BPE(vocab=vocabulary, merges=list(merges), unk_token=END, end_of_word_suffix=WORD_END)
        self._pipeline = Pipeline(model)
        self._pipeline.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        self._pipeline.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PIECES), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        self._pipeline.add_special_tokens([AddedToken(text, normalized=False) for text in (START, END)])

    @classmethod
    def from_merges(cls, merges: Sequence[tuple[str, str]]) -> BytePairTokenizer:
        """The tokenizer that `merges` determine, with 512 + len(merges) + 2 tokens."""
        letters = list(byte_letters().values())
        texts = [
            *letters,
            *(letter + WORD_END for letter in letters),
            *(left + right for left, right in merges),
            START,
            END,
        ]
        return cls({text: token_id for token_id, text in enumerate(texts)}, merges)

    @classmethod
    def clip(cls, vocabulary_size: int = CLIP_VOCABULARY_SIZE) -> BytePairTokenizer:
        """CLIP's own tokenizer from the list that open_clip ships, cut to the first merges for smaller vocabularies.

        Raises MissingExtra where open_clip is not installed.
        """
        package = find_spec("open_clip")
        if package is None or package.origin is None:
            raise MissingExtra("open_clip_torch", "standalone")
        merges = read_merges(Path(package.origin).parent / "bpe_simple_vocab_16e6.txt.gz")
        return cls.from_merges(merges[: vocabulary_size - 512 - 2])

    @classmethod
    def from_folder(cls, folder: Path) -> BytePairTokenizer:
        """The tokenizer in a folder as transformers and diffusers write it.

        Reads `vocab.json` and `merges.txt`, or `tokenizer.json`. Raises ModelError where a file is missing, broken, or
        the two do not belong together.
        """
        merges: list[tuple[str, str]]
        if (folder / "vocab.json").exists() or not (folder / "tokenizer.json").exists():
            source = folder / "vocab.json"
            vocabulary = read_json(source)
            merges = read_merges(folder / "merges.txt")
        else:
            source = folder / "tokenizer.json"
            try:
                model = read_json(source)["model"]
                vocabulary = model["vocab"]
                merges = [paired(merge.split() if isinstance(merge, str) else merge) for merge in model["merges"]]
            except (KeyError, TypeError, ValueError) as error:
                raise ModelError(f"{source} does not hold a byte-pair tokenizer.") from error
        if not isinstance(vocabulary, dict) or any(text not in vocabulary for text in (START, END)):
            raise ModelError(f"{source} has no {START} and {END}; it is not the vocabulary of a CLIP tokenizer.")
        lost = next((token for merge in merges for token in (*merge, "".join(merge)) if token not in vocabulary), None)
        if lost is not None:
            raise ModelError(
                f"The merges in {folder} use {lost!r}, which its vocabulary does not have; "
                f"the files do not belong together."
            )
        return cls(vocabulary, merges)

    def __len__(self) -> int:
        """Number of tokens, start and end included."""
        return len(self._texts)

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`, as many as it has, no start or end token."""
        ids: list[int] = self._pipeline.encode(text, add_special_tokens=False).ids
        return ids

    def token_text(self, token_id: int) -> str:
        """The text that a token stands for, `</w>` kept where it ends a word; `�` for a part of a character."""
        text = self._texts[token_id]
        if token_id in (self.start_id, self.end_id):
            return text
        ending = WORD_END if text.endswith(WORD_END) and text != WORD_END else ""
        letters = text[: len(text) - len(ending)]
        return bytes(self._bytes[letter] for letter in letters).decode("utf-8", errors="replace") + ending


def read_merges(path: Path) -> list[tuple[str, str]]:
    """The merges in a `merges.txt` or in open_clip's gzipped list, most important first; the first line is a header.

    The full list of open_clip goes on after what CLIP uses: the surplus is left out. Raises ModelError.
    """
    try:
        packed = path.read_bytes()
        text = (gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read as a list of byte-pair merges: {error}") from error
    lines = text.split("\n")[1 : CLIP_VOCABULARY_SIZE - 512 - 2 + 1]
    try:
        return [paired(line.split()) for line in lines if line.strip()]
    except ValueError as error:
        raise ModelError(f"{path} is not a list of byte-pair merges: each line must hold two tokens.") from error


def paired(tokens: Sequence[str]) -> tuple[str, str]:
    """The two tokens of a merge. Raises ValueError for any other number."""
    left, right = tokens
    return left, right


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises ModelError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as a tokenizer's file: {error}") from error


def vocabulary_words(tokenizer: Tokenizer) -> list[tuple[int, str]]:
    """Ids and words of all tokens that are a whole word: letters only, at least 3 of them, without `</w>`.

    Every token before the start token is looked at, which is all of them in CLIP's vocabularies.
    """
    words = []
    for token_id in range(tokenizer.start_id):
        text = tokenizer.token_text(token_id)
        word = text[: -len(WORD_END)]
        if text.endswith(WORD_END) and len(word) >= 3 and word.isalpha():
            words.append((token_id, word))
    return words
