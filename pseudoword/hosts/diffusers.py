"""A checkpoint without the WebUI, run by diffusers and transformers: the built-in model, a single file, or a folder."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from ..diffusion import (
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
from ..errors import MissingExtra, ModelError, SettingsError
from ..text import BytePairTokenizer, ClipTextEncoder
from . import checkpoints
from .checkpoints import Configuration
from .sampling import rows_for, same_length, to_pictures

# Pixels that are denoised, and decoded, at once: 4 pictures of 512×512 or 256 of 64×64; decoding needs far more memory.
DENOISED_PIXELS, DECODED_PIXELS = 2**20, 2**18


@dataclass(frozen=True)
class Parts:
    """The three networks of a model, with the tokenizer of the text encoder."""

    unet: Any  # diffusers' UNet2DConditionModel
    vae: Any  # diffusers' AutoencoderKL
    text: Any  # transformers' CLIPTextModel
    tokenizer: BytePairTokenizer


class StandaloneModel:
    """A Stable Diffusion 1.x model outside the WebUI; implements `pseudoword.diffusion.DiffusionModel`.

    All weights are frozen. The UNet computes in `dtype`; the text encoder multiplies matrices in it and keeps the rest
    in float32, so that small changes of a vector are not lost; the VAE stays in float32. What goes in and comes out is
    float32.
    """

    architecture: Architecture = "sd1"
    precision: Precision | None = None

    def __init__(
        self,
        parts: Parts,
        configuration: Configuration,
        title: str,
        sha256: str,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.title = title
        self.sha256 = sha256
        self.device = device
        self.prediction: Prediction = configuration.prediction
        self._scheduler_settings = {
            name: configuration.scheduler[name]
            for name in ("num_train_timesteps", "beta_schedule", "beta_start", "beta_end", "trained_betas")
            if name in configuration.scheduler
        }
        self.schedule = NoiseSchedule(self._solver().alphas_cumprod)
        self._unet = frozen(parts.unet, device, dtype)
        self._vae = frozen(parts.vae, device, torch.float32)
        autocast = None if dtype == torch.float32 else dtype
        text = frozen(parts.text, device, torch.float32)
        self.text_encoders: Sequence[TextEncoder] = (ClipTextEncoder(text, parts.tokenizer, "clip_l", autocast),)
        self.latent_factor = 2 ** (len(parts.vae.config["block_out_channels"]) - 1)
        self.native_size = int(parts.unet.config["sample_size"]) * self.latent_factor
        self._latent_scale = float(parts.vae.config["scaling_factor"])

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> LatentDistribution:
        """Latents of `pixels` (B, 3, H, W) in [-1, 1], H and W multiples of `latent_factor`."""
        posterior = self._vae.encode(pixels.to(self.device, torch.float32)).latent_dist
        return LatentDistribution(posterior.mean * self._latent_scale, posterior.std * self._latent_scale)

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in [-1, 1] of `latents` (B, 4, h, w)."""
        latents = latents.to(self.device, torch.float32) / self._latent_scale
        at_once = max(1, DECODED_PIXELS // (latents[0, 0].numel() * self.latent_factor**2))
        starts = range(0, len(latents), at_once)
        decoded = [self._vae.decode(latents[start : start + at_once], return_dict=False)[0] for start in starts]
        return torch.cat(decoded).clamp(-1, 1)

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's answer (B, 4, h, w) for noisy `latents` at `timesteps` (B,); gradients reach the conditioning."""
        dtype = self._unet.dtype
        context = conditioning.context.to(self.device, dtype)
        latents, timesteps = latents.to(self.device, dtype), timesteps.to(self.device)
        answer: Tensor = self._unet(latents, timesteps, context, return_dict=False)[0]
        return answer.float()

    def borrowed(self) -> AbstractContextManager[None]:
        """Nothing to prepare: its weights are frozen for good, and nobody changes them."""
        return nullcontext()

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

        DPM-Solver++(2M) on Karras' noise levels. Noise is drawn on the CPU for each seed by itself, so that a seed
        gives its picture whatever else is in the batch. Raises SettingsError for sizes and counts that do not fit.
        """
        if sampling.width % self.latent_factor or sampling.height % self.latent_factor or sampling.steps < 1:
            raise SettingsError(
                f"A picture of {sampling.width}×{sampling.height} in {sampling.steps} steps is not possible: the sides "
                f"must be multiples of {self.latent_factor}, and at least one step is needed."
            )
        told = rows_for(conditioning.context.detach(), len(seeds))
        against = rows_for(negative.context.detach(), len(seeds))
        shape = (4, sampling.height // self.latent_factor, sampling.width // self.latent_factor)
        at_once = max(1, DENOISED_PIXELS // (sampling.width * sampling.height))
        pictures: list[Image.Image] = []
        for start in range(0, len(seeds), at_once):
            some = slice(start, start + at_once)
            noise = torch.stack(
                [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds[some]]
            )
            latents = self._denoise(noise.to(self.device), told[some], against[some], sampling, between_steps)
            pictures += to_pictures(self.decode_latents(latents))
        return pictures

    def _denoise(
        self, latents: Tensor, told: Tensor, against: Tensor, sampling: Sampling, between_steps: BetweenPasses
    ) -> Tensor:
        """Latents (B, 4, h, w) of the pictures that `latents` of pure noise become; one UNet call a step."""
        guided = sampling.guidance != 1.0
        context = torch.cat(same_length(against, told)) if guided else told  # (2B or B, 77·chunks, D)
        context = context.to(self.device, self._unet.dtype)
        solver = self._solver()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # diffusers hands numpy a tensor in an outdated way
            solver.set_timesteps(sampling.steps, device=self.device)
        for timestep in solver.timesteps:
            doubled = torch.cat([latents, latents]) if guided else latents
            answer = self.predict(doubled, timestep.expand(len(doubled)), Conditioning(context))
            if guided:
                away, toward = answer.chunk(2)
                answer = away + sampling.guidance * (toward - away)
            latents = solver.step(answer, timestep, latents, return_dict=False)[0]
            between_steps()
        return latents

    def _solver(self) -> Any:
        prediction = "v_prediction" if self.prediction == "v" else "epsilon"
        solver = package("diffusers").DPMSolverMultistepScheduler
        return solver(prediction_type=prediction, use_karras_sigmas=True, **self._scheduler_settings)


def load_model(
    path: Path | None = None, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> StandaloneModel:
    """The model in `path`: a Stable Diffusion 1.x checkpoint file or a diffusers folder; None is the built-in model.

    Nothing is fetched. A checkpoint of v-prediction is known by a `v_pred` tensor, its metadata or the YAML beside it.
    Raises ModelError for what is missing, broken or of another kind, MissingExtra where diffusers or transformers is
    not installed.
    """
    if path is None:
        from ..builtin import CHECKPOINT

        path = Path(CHECKPOINT)
    if path.is_dir():
        return load_folder(path, torch.device(device), dtype)
    return load_single_file(path, torch.device(device), dtype)


def package(name: str) -> Any:
    """The package `name`, whose own annotations differ between versions. Raises MissingExtra where it is missing."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or name, "standalone") from error


def load_single_file(
    path: Path, device: torch.device, dtype: torch.dtype = torch.float32, configuration: Configuration | None = None
) -> StandaloneModel:
    """The model in a checkpoint of the original layout; `configuration` None finds the one that its text tower fits."""
    diffusers, transformers = package("diffusers"), package("transformers")
    convert = package("diffusers.loaders.single_file_utils")
    tensors = checkpoints.read_tensors(path)
    checkpoints.require_sd1(path, tensors)
    text_tensors = checkpoints.text_tensors(tensors)
    configuration = configuration or configuration_for(path, text_tensors)
    if checkpoints.is_v_prediction(path, tensors):
        configuration = replace(configuration, scheduler={**configuration.scheduler, "prediction_type": "v_prediction"})
    with blaming(path):
        unet_tensors = convert.convert_ldm_unet_checkpoint(tensors, dict(configuration.unet))
        vae_tensors = convert.convert_ldm_vae_checkpoint(tensors, dict(configuration.vae))
        with torch.device("meta"):  # no time and memory for random weights that are replaced at once
            unet = diffusers.UNet2DConditionModel.from_config(public(configuration.unet))
            vae = diffusers.AutoencoderKL.from_config(public(configuration.vae))
        text_config = transformers.CLIPTextConfig(**{**configuration.text, "attn_implementation": "sdpa"})
        text = transformers.CLIPTextModel(text_config)
        unet.load_state_dict(unet_tensors, assign=True)
        vae.load_state_dict(vae_tensors, assign=True)
        getattr(text, "text_model", text).load_state_dict(text_tensors)
    parts = Parts(unet, vae, text, tokenizer_for(configuration))
    return StandaloneModel(parts, configuration, path.stem, checkpoints.sha256_of([path]), device, dtype)


def load_folder(folder: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> StandaloneModel:
    """The model in a diffusers folder of safetensors."""
    diffusers, transformers = package("diffusers"), package("transformers")
    if not (folder / "model_index.json").exists():
        raise ModelError(
            f"{folder} has no model_index.json, so it is not a diffusers folder; give one, or a checkpoint."
        )
    configuration = checkpoints.read_configuration(folder)
    files = {part: checkpoints.weights_in(folder / part) for part in ("text_encoder", "unet", "vae")}

    def load(kind: Any, part: str, **more: Any) -> Any:
        variant = "fp16" if ".fp16." in files[part].name else None
        where = str(folder / part)
        return kind.from_pretrained(where, variant=variant, local_files_only=True, use_safetensors=True, **more)

    with blaming(folder):
        unet = load(diffusers.UNet2DConditionModel, "unet", low_cpu_mem_usage=False)
        vae = load(diffusers.AutoencoderKL, "vae", low_cpu_mem_usage=False)
        text = load(transformers.CLIPTextModel, "text_encoder")
    parts = Parts(unet, vae, text, tokenizer_for(configuration))
    sha256 = checkpoints.sha256_of(list(files.values()))
    return StandaloneModel(parts, configuration, folder.name, sha256, device, dtype)


def configuration_for(path: Path, text_tensors: Mapping[str, Tensor]) -> Configuration:
    """The configuration known here whose text tower has the size of this one. Raises ModelError."""
    from ..builtin import CHECKPOINT, CONFIG_FOLDER

    vocabulary = text_tensors.get(checkpoints.VOCABULARY_KEY)
    size = tuple(vocabulary.shape) if vocabulary is not None else ()
    if size == (checkpoints.SD1.text["vocab_size"], checkpoints.SD1.text["hidden_size"]):
        return checkpoints.SD1
    try:
        builtin = checkpoints.read_configuration(Path(CONFIG_FOLDER))
        if size == (builtin.text["vocab_size"], builtin.text["hidden_size"]):
            return builtin
    except ModelError:
        if path == Path(CHECKPOINT):  # of another checkpoint, the message is about that
            raise
    raise ModelError(
        f"{path} has a text encoder with a vocabulary of shape {size}; Stable Diffusion 1.x has (49408, 768)."
    )


def tokenizer_for(configuration: Configuration) -> BytePairTokenizer:
    """The tokenizer of a model. Raises ModelError where its vocabulary is not as large as the text encoder's."""
    where = configuration.tokenizer
    tokenizer = BytePairTokenizer.clip() if where is None else BytePairTokenizer.from_folder(where)
    if len(tokenizer) != configuration.text["vocab_size"]:
        wanted = configuration.text["vocab_size"]
        raise ModelError(
            f"The tokenizer in {where} has {len(tokenizer)} tokens, but the text encoder beside it has {wanted}."
        )
    return tokenizer


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Turns what diffusers and transformers raise about weights that do not fit into a ModelError that names `path`."""
    try:
        yield
    except (RuntimeError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{path} cannot be loaded as a Stable Diffusion 1.x model, it may be cut off or changed: {reason}"
        ) from error


def public(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A diffusers configuration without the notes that diffusers adds (`_class_name`, …)."""
    return {name: value for name, value in configuration.items() if not name.startswith("_")}


def frozen(module: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """`module` on `device` in `dtype`, ready to use, with no weight that wants a gradient."""
    assert isinstance(module, nn.Module)
    return nn.Module.to(module, device=device, dtype=dtype).eval().requires_grad_(False)  # diffusers' own `to` chats
