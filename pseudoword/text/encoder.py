"""transformers' CLIP text model as a `pseudoword.diffusion.TextEncoder`: vectors in, hidden states of a layer out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..diffusion import TextEncoder, Tokenizer
from ..errors import SettingsError

if TYPE_CHECKING:
    from transformers import CLIPTextModel


class ClipTextEncoder:
    """One CLIP text tower of transformers (4.30 to 5.x); implements `pseudoword.diffusion.TextEncoder`.

    Whoever gives `model` freezes it. `device` is where it computes, if not where its weights lie now. `autocast` is the
    precision of matrix products; the vectors, their sum with the positions and the layer norms stay in the precision of
    the weights.
    """

    def __init__(
        self,
        model: CLIPTextModel,
        tokenizer: Tokenizer,
        name: str = "clip_l",
        autocast: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.layer_count: int = model.config.num_hidden_layers
        # transformers 4 nests the tower one level deeper than 5; its annotations differ between the versions.
        self._model: Any = getattr(model, "text_model", model)
        self._device = device
        self._autocast = autocast

    @property
    def vocabulary(self) -> Tensor:
        """Input vectors of all tokens, (V, D). Read only."""
        return token_vectors(self._model.embeddings.token_embedding)

    def encode(self, token_ids: Tensor, input_vectors: Tensor, clip_skip: int = 1) -> Tensor:
        """Hidden states (B, 77, D) of `input_vectors` (B, 77, D), which stand in for those of `token_ids` (B, 77).

        `clip_skip` 1 is the last layer, 2 the one before, …; the final layer norm is applied to any of them, as in
        A1111. Gradients flow to `input_vectors` where they are wanted. Raises SettingsError for a layer that is not
        there.
        """
        check_clip_skip(self, clip_skip)
        device = self._device or self.vocabulary.device
        input_vectors = input_vectors.to(device, self.vocabulary.dtype)
        precision = torch.autocast(device.type, self._autocast) if self._autocast else nullcontext()
        with answering(self._model.embeddings.token_embedding, input_vectors), precision:
            output = self._model(input_ids=token_ids.to(device), output_hidden_states=clip_skip > 1)
            if clip_skip == 1:
                states: Tensor = output.last_hidden_state
            else:
                states = self._model.final_layer_norm(output.hidden_states[-clip_skip])
        return states.float()


def token_vectors(embedding: nn.Module) -> Tensor:
    """The vectors (V, D) of a token embedding, or of the one that the WebUI has wrapped to put new words in."""
    own: Any = embedding if hasattr(embedding, "weight") else embedding.wrapped
    vectors: Tensor = own.weight
    return vectors


def check_clip_skip(encoder: TextEncoder, clip_skip: int) -> None:
    """Raise SettingsError unless `encoder` has the layer `clip_skip`, counted from its last, which is 1."""
    if not 1 <= clip_skip <= encoder.layer_count:
        raise SettingsError(
            f"CLIP skip {clip_skip} asks for a layer that {encoder.name} does not have; "
            f"choose 1 to {encoder.layer_count}."
        )


@contextmanager
def answering(module: nn.Module, output: Tensor) -> Iterator[None]:
    """While it lasts, `module` returns `output` whatever it is given."""
    hook = module.register_forward_hook(lambda *_: output)
    try:
        yield
    finally:
        hook.remove()
