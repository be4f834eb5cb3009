"""open_clip's text tower as a `pseudoword.diffusion.TextEncoder`, as Stable Diffusion 2.x and SDXL use it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..diffusion import Tokenizer
from .encoder import check_clip_skip, token_vectors

if TYPE_CHECKING:
    from open_clip import CLIP


class OpenClipTextEncoder:
    """One text tower of open_clip (2.20 to 3.x); implements `pseudoword.diffusion.TextEncoder`.

    `last_layer` is how many residual blocks the diffusion model was made with; None is all but the last, as in Stable
    Diffusion 2.x. `final_norm` is whether the last layer norm is applied to what is read, which SDXL does without, and
    `pools` whether the diffusion model is told of the whole text, too, as SDXL is. Whoever gives `model` freezes it.
    `device` is where it computes, if not where its weights lie now. `autocast` is the precision of matrix products; the
    vectors, their sum with the positions and the layer norms stay in the precision of the weights.

    Only its blocks and its last layer norm are called: hooks on the whole, and on its token embedding, see nothing.
    """

    def __init__(
        self,
        model: CLIP,
        tokenizer: Tokenizer,
        name: str = "open_clip_h",
        last_layer: int | None = None,
        autocast: torch.dtype | None = None,
        device: torch.device | None = None,
        final_norm: bool = True,
        pools: bool = False,
    ) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.layer_count: int = len(model.transformer.resblocks) - 1 if last_layer is None else last_layer
        self._model: Any = model
        self._device = device
        self._autocast = autocast
        self._final_norm = final_norm
        self._pools = pools

    @property
    def vocabulary(self) -> Tensor:
        """Input vectors of all tokens, (V, D). Read only."""
        return token_vectors(self._model.token_embedding)

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
        counts = [self.layer_count + 1 - clip_skip for clip_skip in clip_skips]
        with self._precision():
            after = self._after_blocks(input_vectors, counts)
            states = [after[count] for count in counts]
            if self._final_norm:  # one by one: so each is the same bits whichever others are asked for
                states = [self._model.ln_final(one) for one in states]
        return torch.stack(states).float()

    def pool(self, token_ids: Tensor, input_vectors: Tensor) -> Tensor | None:
        """What SDXL is told of whole texts, (B, P): the projected state of the end token, after the very last block."""
        if not self._pools:
            return None
        every = len(self._model.transformer.resblocks)
        with self._precision():
            normed = self._model.ln_final(self._after_blocks(input_vectors, [every])[every])
            ends = token_ids.to(normed.device).argmax(dim=1)  # the end token is the last of the vocabulary
            pooled: Tensor = normed[torch.arange(len(normed), device=normed.device), ends] @ self._model.text_projection
        return pooled.float()

    def _precision(self) -> AbstractContextManager[object]:
        device = self._device or self.vocabulary.device
        return torch.autocast(device.type, self._autocast) if self._autocast else nullcontext()

    def _after_blocks(self, input_vectors: Tensor, counts: Collection[int]) -> dict[int, Tensor]:
        """What becomes of `input_vectors` (B, 77, D) in the first `count` residual blocks, for each of `counts`."""
        inputs = input_vectors.to(self._device or self.vocabulary.device, self.vocabulary.dtype)
        states = inputs + self._model.positional_embedding
        transformer = self._model.transformer
        batch_first = getattr(transformer, "batch_first", False)  # older versions want positions first, and do not say
        states = states if batch_first else states.transpose(0, 1)
        after = {}
        for count, block in enumerate(transformer.resblocks[: max(counts)], start=1):
            states = block(states, attn_mask=self._model.attn_mask)
            if count in counts:
                after[count] = states if batch_first else states.transpose(0, 1)
        return after
