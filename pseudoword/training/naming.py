"""Whether a new word can have the name it was given."""

from __future__ import annotations

from ..diffusion import Tokenizer
from ..embedding.names import check_name
from ..errors import SettingsError


def check_new_word(name: str, tokenizer: Tokenizer) -> None:
    """Raise SettingsError where `name` is no valid name, or is a word of the vocabulary.

    Prompts that say a word of the vocabulary would get the new word's vectors in its place, everywhere.
    """
    check_name(name)
    if is_ordinary_word(name, tokenizer):
        raise SettingsError(
            f"The model knows the word {name!r} already, and every prompt with it would change; "
            f"choose a name of its own such as 'my-{name}'."
        )


def is_ordinary_word(name: str, tokenizer: Tokenizer) -> bool:
    """Whether `name` is a word of the vocabulary, which prompts could no longer say were a new word called so."""
    tokens = tokenizer.tokenize(name)
    return len(tokens) == 1 and tokenizer.token_text(tokens[0]).endswith("</w>")
