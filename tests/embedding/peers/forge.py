"""Forge's own EmbeddingDatabase, in a process of its own.

    python forge.py FOLDER WIDTH RESULT          what it finds in FOLDER, as torch.save of a dict

The working folder is that of Forge.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import torch


def main(folder: Path, width: int, result: Path) -> None:
    sys.path.insert(0, "backend/text_processing")  # the package itself asks for a graphics card
    loader = importlib.import_module("textual_inversion")

    def tokenizer(texts: list[str], **options: bool) -> dict[str, list[list[int]]]:
        return {"input_ids": [[ord(letter) for letter in text] for text in texts]}

    database = loader.EmbeddingDatabase(tokenizer, expected_shape=width)
    database.add_embedding_dir(str(folder))
    database.load_textual_inversion_embeddings()
    torch.save({name: {"vectors": found.vec} for name, found in database.word_embeddings.items()}, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
