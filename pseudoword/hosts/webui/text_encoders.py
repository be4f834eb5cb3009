"""The text encoders of the checkpoint that is loaded, computing in the WebUI's own number format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modules import devices
from torch import Tensor

from ...diffusion import TextEncoder
from ...text import BytePairTokenizer, ClipTextEncoder, OpenClipTextEncoder


def text_encoders_of(net: Any) -> Sequence[TextEncoder]:
    """Those of `net`, an `sd_model` of the WebUI, which must be a Stable Diffusion 1.x or 2.x."""
    conditioner = net.cond_stage_model  # the WebUI's wrapper, which reads weights and embeddings in prompts
    if net.is_sd2:
        tokenizer = BytePairTokenizer.clip()
        tokenizer.pad_id = conditioner.id_pad
        tower = conditioner.wrapped.model
        used = len(tower.transformer.resblocks) - conditioner.wrapped.layer_idx
        inner: TextEncoder = OpenClipTextEncoder(
            tower, tokenizer, "open_clip_h", last_layer=used, device=devices.device
        )
    else:
        theirs = conditioner.wrapped.tokenizer
        tokenizer = BytePairTokenizer(dict(theirs.encoder), list(theirs.bpe_ranks))
        inner = ClipTextEncoder(conditioner.wrapped.transformer, tokenizer, "clip_l", device=devices.device)
    return (AsTheWebuiComputes(inner),)


class AsTheWebuiComputes:
    """A `TextEncoder` whose passes are in the number format that the WebUI was started with."""

    def __init__(self, inner: TextEncoder) -> None:
        self.name = inner.name
        self.tokenizer = inner.tokenizer
        self.layer_count = inner.layer_count
        self._inner = inner

    @property
    def vocabulary(self) -> Tensor:
        """Input vectors of all tokens, (V, D). Read only."""
        return self._inner.vocabulary

    def encode(self, token_ids: Tensor, input_vectors: Tensor, clip_skip: int = 1) -> Tensor:
        """Hidden states (B, 77, D), float32; see `TextEncoder.encode`."""
        with devices.autocast():
            return self._inner.encode(token_ids, input_vectors, clip_skip)
