"""The text encoders of the checkpoint that is loaded, computing in the WebUI's own number format."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

from modules import devices, sd_hijack_clip, sd_hijack_open_clip
from torch import Tensor, nn

from ...diffusion import TextEncoder
from ...errors import ModelError
from ...text import BytePairTokenizer, ClipTextEncoder, OpenClipTextEncoder
from .borrowing import at_hand


def text_encoders_of(net: Any) -> Sequence[TextEncoder]:
    """Those of `net`, an `sd_model` of the WebUI: one, or for SDXL two, the same objects for as long as it has them.

    Raises ModelError for a model that reads prompts with something else than CLIP, and while its weights are replaced.
    """
    conditioner = getattr(net, "cond_stage_model", None)
    return _encoders_of(conditioner, "open_clip_h" if net.is_sd2 else "clip_g")


@lru_cache(maxsize=1)
def _encoders_of(conditioner: Any, open_clip_name: str) -> Sequence[TextEncoder]:
    # SDXL has several embedders, of which two read text. Those that do are wrapped, but not while weights are replaced.
    embedders = getattr(conditioner, "embedders", [conditioner])
    encoders = tuple(encoder_in(embedder, open_clip_name) for embedder in embedders if hasattr(embedder, "wrapped"))
    if not encoders:
        raise ModelError("The WebUI is loading another checkpoint; try again when it has.")
    return encoders


def encoder_in(conditioner: Any, open_clip_name: str) -> TextEncoder:
    """The text encoder within `conditioner`, a wrapper of the WebUI's that reads weights and embeddings in prompts.

    It ends with the layer that the diffusion model was made with. Raises ModelError for one that is not CLIP's.
    """
    embedder = conditioner.wrapped
    if hasattr(embedder, "transformer"):
        theirs = embedder.tokenizer
        tokenizer = BytePairTokenizer(dict(theirs.encoder), list(theirs.bpe_ranks))
        tower = embedder.transformer
        used = layers_read(embedder)
        clip = ClipTextEncoder(
            tower, tokenizer, "clip_l", device=devices.device, last_layer=used, final_norm=not is_of_sdxl(conditioner)
        )
        return AsTheWebuiComputes(clip, tower)
    if not hasattr(embedder, "model"):
        raise ModelError(f"The model reads prompts with {type(embedder).__name__}; choose one that does with CLIP.")
    tokenizer = BytePairTokenizer.clip()
    tokenizer.pad_id = conditioner.id_pad
    tower = embedder.model
    used = len(tower.transformer.resblocks) - embedder.layer_idx
    of_sdxl = is_of_sdxl(conditioner)
    open_clip = OpenClipTextEncoder(
        tower, tokenizer, open_clip_name, used, device=devices.device, final_norm=not of_sdxl, pools=of_sdxl
    )
    return AsTheWebuiComputes(open_clip, tower)


def is_of_sdxl(conditioner: Any) -> bool:
    """Whether a wrapper of the WebUI's gives layers as SDXL reads them, without the final layer norm."""
    return isinstance(
        conditioner,
        (
            sd_hijack_clip.FrozenCLIPEmbedderForSDXLWithCustomWords,
            sd_hijack_open_clip.FrozenOpenCLIPEmbedder2WithCustomWords,
        ),
    )


def layers_read(embedder: Any) -> int | None:
    """How many layers of transformers' CLIP are used, None for all: SDXL's configuration says 11 of 12."""
    if embedder.layer != "hidden":
        return None
    states = range(embedder.transformer.config.num_hidden_layers + 1)  # before the first layer, and after each
    return states[embedder.layer_idx]


class AsTheWebuiComputes:
    """A `TextEncoder` whose passes are in the number format that the WebUI was started with, and on its device."""

    def __init__(self, inner: TextEncoder, tower: nn.Module) -> None:
        self.name = inner.name
        self.tokenizer = inner.tokenizer
        self.layer_count = inner.layer_count
        self._inner = inner
        self._tower = tower

    @property
    def vocabulary(self) -> Tensor:
        """Input vectors of all tokens, (V, D). Read only."""
        return self._inner.vocabulary

    def encode(self, token_ids: Tensor, input_vectors: Tensor, clip_skip: int = 1) -> Tensor:
        """Hidden states (B, 77, D), float32; see `TextEncoder.encode`."""
        return self.encode_layers(token_ids, input_vectors, [clip_skip])[0]

    def encode_layers(self, token_ids: Tensor, input_vectors: Tensor, clip_skips: Sequence[int]) -> Tensor:
        """As `encode` for each of `clip_skips`, (len(clip_skips), B, 77, D), from one pass."""
        with self._at_hand(), devices.autocast():
            return self._inner.encode_layers(token_ids, input_vectors, clip_skips)

    def pool(self, token_ids: Tensor, input_vectors: Tensor) -> Tensor | None:
        """See `TextEncoder.pool`."""
        with self._at_hand(), devices.autocast():
            return self._inner.pool(token_ids, input_vectors)

    def _at_hand(self) -> AbstractContextManager[None]:
        elsewhere = self.vocabulary.device.type != devices.device.type  # as with --medvram, between generations
        return at_hand(self._tower) if elsewhere else nullcontext()
