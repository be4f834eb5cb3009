"""What the text encoder's layers make of a prompt that may say words of the library: pictures, and states inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ...diffusion import LoadedEncoders, TextEncoder
from ...embedding.metadata import encodable
from ...errors import ModelError, SettingsError
from ...inspect.prompt_layers import PromptLayers, prompt_layers
from ...inspect.strips import Row, check_length, layers_row
from ...text.layer_choice import without_tags
from ...text.layer_list import layer_list
from ...text.prompts import vectors_for
from ..library.inspector import Inspector
from ..library.words import TrainedWord, words_said


def layers_strip(inspector: Inspector, prompt: str, negative: str, layers: str) -> Row:
    """A row of the prompt's pictures with each of the `layers` that are listed, `all` or as in `1; 2; 1=0.5,2=0.5`.

    `<clipskip:…>` in the prompts is left out. Raises ModelError where no model is loaded, SettingsError for a list or
    a prompt that cannot be used, and EmbeddingFileError for a word that cannot be read.
    """
    prompt, negative = as_read(prompt), as_read(negative)
    encoders = loaded_encoders(inspector).encoders
    words = vectors_said(inspector, encoders[0], [prompt, negative])
    choices = layer_list(layers, [encoder.layer_count for encoder in encoders])
    return layers_row(prompt, words, choices, negative)


def inside(inspector: Inspector, prompt: str, encoder: str) -> PromptLayers:
    """How each token of `prompt` goes through the layers of the text encoder called so, the first where that is empty.

    Waits for the model. Raises ModelError where none is loaded, SettingsError for an encoder that it has not, and for a
    prompt without tokens.
    """
    encoders = {found.name: found for found in loaded_encoders(inspector).encoders}
    name = encoder or next(iter(encoders))
    if name not in encoders:
        raise SettingsError(f"The model has no text encoder {name[:40]!r}; it has {', '.join(encoders)}.")
    prompt = as_read(prompt)
    vectors = vectors_said(inspector, encoders[name], [prompt])
    with inspector.using_model():
        return prompt_layers(encoders[name], prompt, vectors)


def check_inside(inspector: Inspector, prompt: str) -> None:
    """Raise PseudowordError where `inside` would, as far as that can be told without waiting for the model."""
    prompt = as_read(prompt)
    for encoder in loaded_encoders(inspector).encoders:
        if not encoder.tokenizer.tokenize(prompt):
            raise SettingsError("The prompt holds no token; write one such as 'a photo of a cat'.")
        for word, vectors in vectors_said(inspector, encoder, [prompt]).items():
            vectors_for(encoder, word, vectors)


def as_read(prompt: str) -> str:
    """`prompt` without `<clipskip:…>`. Raises SettingsError for more than 20,000 characters."""
    check_length(prompt)
    return without_tags(encodable(prompt))


def loaded_encoders(inspector: Inspector) -> LoadedEncoders:
    """The text encoders of the loaded model. Raises ModelError where none is loaded."""
    loaded = inspector.host.encoders()
    if loaded is None:
        raise ModelError("No model is loaded; load one whose text encoder is to be looked into.")
    return loaded


def vectors_said(inspector: Inspector, encoder: TextEncoder, prompts: Sequence[str]) -> dict[str, Mapping[str, Tensor]]:
    """The vectors, by encoder, of the library's words that `prompts` say. Raises EmbeddingFileError."""
    words = inspector.words()
    known = [TrainedWord(name, row.file) for name, row in words.rows.items()]
    return {word.name: words.load(word.name).vectors for word in words_said(prompts, known, encoder.tokenizer)}
