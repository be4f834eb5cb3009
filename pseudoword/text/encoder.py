"""transformers' CLIP text model as a `pseudoword.diffusion.TextEncoder`: vectors in, hidden states of a layer out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

    `last_layer` is how many layers the diffusion model was made with; None is all, SDXL leaves out one. `final_norm` is
    whether the final layer norm is applied to what is read, which SDXL does without. Whoever gives `model` freezes it.
    `device` is where it computes, if not where its weights lie now. `autocast` is the precision of matrix products; the
    vectors, their sum with the positions and the layer norms stay in the precision of the weights.
    """

    def __init__(
        self,
        model: CLIPTextModel,
        tokenizer: Tokenizer,
        name: str = "clip_l",
        autocast: torch.dtype | None = None,
        device: torch.device | None = None,
        last_layer: int | None = None,
        final_norm: bool = True,
    ) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.layer_count: int = model.config.num_hidden_layers if last_layer is None else last_layer
        # transformers 4 nests the tower one level deeper than 5; its annotations differ between the versions.
        self._model: Any = getattr(model, "text_model", model)
        self._device = device
        self._autocast = autocast
        self._final_norm = final_norm

    @property
    def vocabulary(self) -> Tensor:
        """Input vectors of all tokens, (V, D). Read only."""
        return token_vectors(self._model.embeddings.token_embedding)

    def encode(self, token_ids: Tensor, input_vectors: Tensor, clip_skip: int = 1) -> Tensor:
        """Hidden states (B, 77, D) of `input_vectors` (B, 77, D), which stand in for those of `token_ids` (B, 77).

        `clip_skip` 1 is the layer that the diffusion model was made with, 2 the one before, …. Gradients flow to
        `input_vectors` where they are wanted. Raises SettingsError for a layer that is not there.
        """
        return self.encode_layers(token_ids, input_vectors, [clip_skip])[0]

    def encode_layers(self, token_ids: Tensor, input_vectors: Tensor, clip_skips: Sequence[int]) -> Tensor:
        """What `encode` gives for each of `clip_skips`, at least one: (len(clip_skips), B, 77, D), from one pass.

        The pass ends after the last block that is needed.
        """
        for clip_skip in clip_skips:
            check_clip_skip(self, clip_skip)
        device = self._device or self.vocabulary.device
        input_vectors = input_vectors.to(device, self.vocabulary.dtype)
        precision = torch.autocast(device.type, self._autocast) if self._autocast else nullcontext()
        places = sorted({self.layer_count - clip_skip for clip_skip in clip_skips})
        with answering(self._model.embeddings.token_embedding, input_vectors), precision:
            with ending_after(self._model.encoder.layers, places) as outputs:
                self._model(input_ids=token_ids.to(device))
            after = dict(zip(places, outputs, strict=True))
            states = [after[self.layer_count - clip_skip] for clip_skip in clip_skips]
            if self._final_norm:  # one by one: so each is the same bits whichever others are asked for
                states = [self._model.final_layer_norm(one) for one in states]
        return torch.stack(states).float()

    def pool(self, token_ids: Tensor, input_vectors: Tensor) -> None:
        """Nothing: no diffusion model is told what this tower makes of a whole text."""
        return None


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


class _DeepEnough(Exception):
    """Ends a pass through a tower whose other blocks nobody asked for."""


@contextmanager
def ending_after(blocks: Sequence[nn.Module], places: Sequence[int]) -> Iterator[list[Tensor]]:
    """A pass through the tower of `blocks` inside ends after the last of `places`, where any blocks are left.

    The list gets what the blocks at `places`, in rising order, give.
    """
    outputs: list[Tensor] = []

    def keep(block: nn.Module, _: Any, output: Any) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)  # transformers 4 gives tuples
        if len(outputs) == len(places) and block is not blocks[-1]:
            raise _DeepEnough

    hooks = [blocks[place].register_forward_hook(keep) for place in places]
    try:
        yield outputs
    except _DeepEnough:
        pass
    finally:
        for hook in hooks:
            hook.remove()
