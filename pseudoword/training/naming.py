"""Whether a new word can have the name it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..diffusion import Tokenizer
from ..embedding.names import check_name
from ..errors import SettingsError

if TYPE_CHECKING:
    from ..embedding import EmbeddingLibrary


def check_new_word(name: str, tokenizer: Tokenizer, library: EmbeddingLibrary | None) -> None:
    """Raise SettingsError where `name` is no valid name, is a word of the vocabulary, or is in `library` already.

    Prompts that say a word of the vocabulary would get the new word's vectors in its place, everywhere.
    """
    check_name(name)
    tokens = tokenizer.tokenize(name)
    if len(tokens) == 1 and tokenizer.token_text(tokens[0]).endswith("</w>"):
        raise SettingsError(
            f"The model knows the word {name!r} already, and every prompt with it would change; "
            f"choose a name of its own such as 'my-{name}'."
        )
    if library is not None and name in library:
        raise SettingsError(
            f"There is an embedding named {name!r} already; choose a name such as 'my-{name}', or remove the old one."
        )
