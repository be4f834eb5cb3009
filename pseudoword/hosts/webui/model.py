"""The loaded checkpoint as a `pseudoword.diffusion.DiffusionModel`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import k_diffusion.external
import k_diffusion.sampling
import torch
from modules import devices, hashes, sd_models, sd_samplers_common, sd_unet, sd_vae, shared
from PIL import Image
from sgm.modules.distributions.distributions import DiagonalGaussianDistribution
from torch import Tensor
from torch.nn import functional

from ...diffusion import (
    Architecture,
    BetweenPasses,
    Conditioning,
    LatentDistribution,
    NoiseSchedule,
    Precision,
    Prediction,
    Sampling,
    TextEncoder,
    go_on,
)
from ...errors import ModelError, TrainingError
from ..sampling import rows_for, same_length, to_pictures
from .borrowing import borrowed, swapped
from .text_encoders import text_encoders_of


class WebuiModel:
    """The checkpoint that is loaded when this is made; implements `pseudoword.diffusion.DiffusionModel`.

    It stands for that checkpoint, not for the object that the WebUI holds it in, which changes when another is loaded
    and this one again. Device, number format, VAE and the way weights move with --medvram are the WebUI's own. To be
    used inside the queue's lock, and for anything that computes, inside `borrowed`.
    """

    def __init__(self) -> None:
        net = loaded_net()
        refuse_unfit(net)
        info = net.sd_checkpoint_info
        self.title: str = info.name_for_extra
        self.sha256: str = info.sha256 or hashes.calculate_sha256(info.filename)  # None with --no-hashing
        self.architecture: Architecture = architecture_of(net)
        self.prediction: Prediction = "v" if net.parameterization == "v" else "epsilon"
        self.schedule = NoiseSchedule(net.alphas_cumprod_original.cpu())
        self.device: torch.device = devices.device
        self.precision: Precision | None = "fp16" if devices.dtype_unet == torch.float16 else "fp32"
        self.latent_factor = 2 ** (net.first_stage_model.encoder.num_resolutions - 1)
        self.native_size = native_size_of(net, self.latent_factor)
        self._file: str = info.filename
        self._vae: str | None = sd_vae.loaded_vae_file
        self._masked: dict[tuple[int, int], Tensor] = {}  # (1, 5, h, w) by height and width of latents

    @property
    def text_encoders(self) -> Sequence[TextEncoder]:
        """One, `clip_l` or `open_clip_h`, or for SDXL `clip_l` and `clip_g`."""
        return text_encoders_of(loaded_net())

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """The model without traces of other people's generations, ready to train on; left as it was found.

        Raises TrainingError where another checkpoint or VAE was chosen meanwhile.
        """
        self._be_loaded()
        with borrowed(loaded_net()):
            yield

    def encode_images(self, pixels: Tensor) -> LatentDistribution:
        """Latents of `pixels` (B, 3, H, W) in [-1, 1], by the VAE that is chosen. Raises ModelError for NaN."""
        net = loaded_net()
        with torch.no_grad(), devices.without_autocast(), swapped(DiagonalGaussianDistribution, "sample", whole):
            posterior = net.first_stage_model.encode(pixels.to(devices.device, devices.dtype_vae))
        mean, deviation = posterior.mean.float(), posterior.std.float()
        if not mean.isfinite().all():
            raise ModelError(
                "The VAE gives no numbers for these pictures in half precision; start the WebUI with --no-half-vae."
            )
        return LatentDistribution(mean * net.scale_factor, deviation * net.scale_factor)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in [-1, 1] of `latents` (B, 4, h, w), one after the other: decoding takes much memory."""
        full = sd_samplers_common.approximation_indexes["Full"]
        decoded = [
            sd_samplers_common.samples_to_images_tensor(row[None].to(devices.device), full, loaded_net()).float()
            for row in latents
        ]
        return torch.cat(decoded).clamp(-1, 1)

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's answer (B, 4, h, w) for noisy `latents` at `timesteps` (B,); gradients reach the conditioning."""
        latents = latents.to(devices.device)
        told = self._told(latents, conditioning)
        answer: Tensor = loaded_net().apply_model(latents, timesteps.to(devices.device), told)
        return answer.float()

    @torch.no_grad()
    def generate(
        self,
        conditioning: Conditioning,
        negative: Conditioning,
        sampling: Sampling,
        seeds: Sequence[int],
        between_steps: BetweenPasses = go_on,
    ) -> list[Image.Image]:
        """One RGB picture per row of `conditioning` (one row is used for all seeds), with its own seed of `seeds`.

        DPM++ 2M on Karras' noise levels, as the standalone model does, one picture at a time.
        """
        told, against = row_for_each(conditioning, len(seeds)), row_for_each(negative, len(seeds))
        pictures: list[Image.Image] = []
        for toward, away, seed in zip(told, against, seeds, strict=True):
            latents = self._denoise(guiding(away, toward), sampling, seed, between_steps)
            pictures += to_pictures(self.decode_latents(latents))
        return pictures

    def _denoise(self, guides: Conditioning, sampling: Sampling, seed: int, between_steps: BetweenPasses) -> Tensor:
        """Latents (1, 4, h, w) of the picture that `guides`, of two rows, away and toward, ask for."""
        shape = (1, 4, sampling.height // self.latent_factor, sampling.width // self.latent_factor)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(devices.device)
        denoiser = self._denoiser()
        smallest, largest = float(denoiser.sigmas[0]), float(denoiser.sigmas[-1])
        sigmas = k_diffusion.sampling.get_sigmas_karras(sampling.steps, smallest, largest, device=devices.device)

        def guided(latents: Tensor, sigma: Tensor) -> Tensor:
            doubled = torch.cat([latents, latents])
            # Made anew each step: between two of them another checkpoint may have come and gone.
            answer = self._denoiser()(doubled, torch.cat([sigma, sigma]), cond=self._told(doubled, guides))
            away, toward = answer.chunk(2)
            told: Tensor = away + sampling.guidance * (toward - away)
            return told

        def after_step(_: Any) -> None:
            between_steps()

        denoised: Tensor = k_diffusion.sampling.sample_dpmpp_2m(
            guided, noise * sigmas[0], sigmas, callback=after_step, disable=True
        )
        return denoised

    def _denoiser(self) -> Any:
        kind = "CompVisVDenoiser" if self.prediction == "v" else "CompVisDenoiser"
        return getattr(k_diffusion.external, kind)(loaded_net())

    def _told(self, latents: Tensor, conditioning: Conditioning) -> dict[str, Any]:
        """What the UNet gets besides `latents` (B, 4, h, w): `conditioning`, and for inpainting what is not masked.

        Everything is masked then: a mask (1, h, w) of ones above the latents of a gray picture, as in the WebUI.
        """
        net, height, width = loaded_net(), *latents.shape[2:]
        context = conditioning.context.to(devices.device)
        if conditioning.pooled is None:
            told: dict[str, Any] = {"c_crossattn": [context]}
        else:
            pooled = conditioning.pooled.to(devices.device)
            told = {"crossattn": context, "vector": sizes_after(pooled, height, width, self.latent_factor, net)}
        if net.model.conditioning_key == "hybrid" or net.is_sdxl_inpaint:
            if (height, width) not in self._masked:
                gray = torch.zeros((1, 3, height * self.latent_factor, width * self.latent_factor))
                self._masked[height, width] = functional.pad(self.encode_images(gray).mean, (0, 0, 0, 0, 1, 0), value=1)
            told["c_concat"] = [self._masked[height, width].expand(len(latents), -1, -1, -1)]
        return told

    def _be_loaded(self) -> None:
        """Raise TrainingError unless the WebUI has, or by its own settings would have next, this checkpoint and VAE."""
        if loaded_net().sd_checkpoint_info.filename != self._file:
            chosen = sd_models.select_checkpoint()
            if chosen.filename != self._file:
                raise TrainingError(
                    f"The checkpoint is {chosen.name_for_extra} now, and this run learns on {self.title}; "
                    f"it is saved. Choose {self.title} again, then press Resume."
                )
            sd_models.reload_model_weights()  # someone's refiner was left loaded
        net = loaded_net()
        if sd_vae.loaded_vae_file != self._vae:
            chosen_vae = sd_vae.resolve_vae(net.sd_checkpoint_info.filename).vae
            if chosen_vae != self._vae:
                raise TrainingError(
                    f"The VAE is {name_of(chosen_vae)} now, and this run began with {name_of(self._vae)}; "
                    "it is saved. Choose that one again, then press Resume."
                )
            sd_vae.reload_vae_weights(net)
        refuse_unfit(net)


def loaded_model() -> WebuiModel:
    """The checkpoint that is loaded now: one object for as long as it and its VAE are, with its tokenizer and hash.

    Raises ModelError for what cannot be trained on.
    """
    net = loaded_net()
    refuse_unfit(net)
    return _model_of(net.sd_checkpoint_info.filename, net.sd_checkpoint_info.sha256, sd_vae.loaded_vae_file)


@lru_cache(maxsize=1)
def _model_of(filename: str, sha256: str | None, vae: str | None) -> WebuiModel:
    return WebuiModel()


def loaded_net() -> Any:
    """The WebUI's `sd_model`. Raises ModelError where none is loaded."""
    net = sd_models.model_data.sd_model
    if net is None:
        raise ModelError("The WebUI has no checkpoint loaded yet; wait until it has, or choose one at the top.")
    return net


def refuse_unfit(net: Any) -> None:
    """Raise ModelError, with what to do, for what cannot be trained on."""
    name = net.sd_checkpoint_info.name_for_extra
    if shared.cmd_opts.lowvram:
        raise ModelError(
            "With --lowvram the model is moved piece by piece and cannot be trained on; "
            "start the WebUI with --medvram instead, which needs about 4 GB."
        )
    if not (net.is_sd1 or net.is_sd2 or net.is_sdxl):
        raise ModelError(f"{name} is no Stable Diffusion 1.x, 2.x or SDXL; choose a checkpoint of one of these.")
    if net.is_sdxl and any(embedder.input_key == "aesthetic_score" for embedder in net.conditioner.embedders):
        raise ModelError(f"{name} only refines pictures of SDXL; choose the checkpoint that begins them.")
    if net.cond_stage_key == "edit" or net.model.conditioning_key not in ("crossattn", "hybrid"):
        raise ModelError(f"{name} is made for a special purpose; choose a checkpoint that makes pictures from text.")
    if getattr(net, "depth_model", None) is not None:
        raise ModelError(f"{name} needs depth maps; choose a checkpoint that makes pictures from text alone.")
    if sd_unet.current_unet is not None:
        raise ModelError(
            f"The UNet is replaced by {sd_unet.current_unet.option.label}, which cannot be trained on; "
            "choose None under SD Unet in the settings."
        )
    if net.lowvram is False and next(net.model.parameters()).device.type != devices.device.type:
        raise ModelError(f"{name} was unloaded from the GPU; choose it at the top again to load it.")


def architecture_of(net: Any) -> Architecture:
    """What kind of model `net` is, of those that `refuse_unfit` lets pass."""
    return "sdxl" if net.is_sdxl else "sd2" if net.is_sd2 else "sd1"


def whole(distribution: DiagonalGaussianDistribution) -> DiagonalGaussianDistribution:
    """In the place of a draw: SDXL's VAE gives nothing else of its `distribution`."""
    return distribution


def row_for_each(conditioning: Conditioning, count: int) -> list[Conditioning]:
    """`conditioning` in `count` single rows, its only one repeated where it has one. Raises SettingsError."""
    contexts = rows_for(conditioning.context, count)
    pooled = None if conditioning.pooled is None else rows_for(conditioning.pooled, count)
    rows = [slice(place, place + 1) for place in range(count)]
    return [Conditioning(contexts[row], None if pooled is None else pooled[row]) for row in rows]


def guiding(away: Conditioning, toward: Conditioning) -> Conditioning:
    """Both in two rows, with as many chunks."""
    context = torch.cat(same_length(away.context, toward.context))
    if away.pooled is None or toward.pooled is None:
        return Conditioning(context)
    return Conditioning(context, torch.cat([away.pooled, toward.pooled]))


def sizes_after(pooled: Tensor, height: int, width: int, factor: int, net: Any) -> Tensor:
    """What SDXL is told of a whole picture, (B, …): `pooled` (B, P), and the sizes of one of `height` times `factor`.

    Those are its original size, where it was cropped (as the WebUI's settings say), and its size now (Podell et al.,
    "SDXL", 2023).
    """
    size = (height * factor, width * factor)
    crop = (shared.opts.sdxl_crop_top, shared.opts.sdxl_crop_left)
    said = {"original_size_as_tuple": size, "crop_coords_top_left": crop, "target_size_as_tuple": size}
    embedders = {embedder.input_key: embedder for embedder in net.conditioner.embedders}
    parts = [
        embedders[key](torch.tensor([said[key]], device=pooled.device, dtype=torch.float32).expand(len(pooled), -1))
        for key in embedders
        if key in said
    ]
    return torch.cat([pooled, *(part.to(pooled) for part in parts)], dim=1)


def native_size_of(net: Any, latent_factor: int) -> int:
    """Pixels along one side of the pictures that the checkpoint was made with, as its configuration says."""
    if net.is_sdxl:
        return 1024
    size = int(net.image_size) * latent_factor
    # Stability AI's configuration of the 768-pixel model says 64 latents, which is that of the 512-pixel one.
    return 768 if net.is_sd2 and net.parameterization == "v" and size == 512 else size


def name_of(vae: str | None) -> str:
    """A VAE's file name, as people know it."""
    return Path(vae).name if vae else "the checkpoint's own"
