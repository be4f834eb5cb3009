"""The model at work on examples: losses for looking, gradients for learning, in parts that fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from ..diffusion import Conditioning, DiffusionModel
from ..errors import TrainingError
from .conditioning import PromptEncoder, rows_of
from .examples import Examples
from .objective import denoising_losses
from .precision import Precision, autocast
from .stopwatch import Stopwatch

T = TypeVar("T")


class Denoiser:
    """Runs the frozen model on `Examples`; at most `micro_batch` of them go through the UNet at once.

    Where memory is too small, `micro_batch` is halved and `on_halved` is told; results stay the same but for rounding.
    """

    def __init__(
        self,
        model: DiffusionModel,
        prompts: PromptEncoder,
        precision: Precision,
        micro_batch: int,
        stopwatch: Stopwatch,
        on_halved: Callable[[int], None],
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._precision = precision
        self._stopwatch = stopwatch
        self._on_halved = on_halved
        self.micro_batch = micro_batch

    def losses(self, examples: Examples, vectors: Mapping[str, Tensor]) -> Tensor:
        """The unweighted loss of each example, (B,), float32 on the CPU, with `vectors` as the new word's."""
        with torch.no_grad():
            return self._within_memory(lambda: self._losses(examples, vectors))

    def _losses(self, examples: Examples, vectors: Mapping[str, Tensor]) -> Tensor:
        conditioning, rows = self._encoded(examples, vectors)
        parts = [
            self._part_losses(examples, part, rows_of(conditioning, rows[part])) for part in self._parts(len(examples))
        ]
        return torch.cat(parts).cpu()

    def gradients(
        self, examples: Examples, vectors: Mapping[str, Tensor], scale: float
    ) -> tuple[float, dict[str, Tensor]]:
        """The mean weighted loss, and its gradients (n, D) by encoder with respect to `vectors`, which require grad.

        `scale` multiplies what is differentiated and divides the gradients again, against fp16's vanishing. Gradients
        may hold NaN or infinity where the number format overflows; so may the loss.
        """
        with torch.enable_grad():
            return self._within_memory(lambda: self._gradients(examples, vectors, scale))

    def _gradients(
        self, examples: Examples, vectors: Mapping[str, Tensor], scale: float
    ) -> tuple[float, dict[str, Tensor]]:
        """The chain is cut at the conditioning: however many parts the UNet works in, each prompt is encoded once."""
        conditioning, rows = self._encoded(examples, vectors)
        if not conditioning.context.requires_grad:  # no prompt of this batch uses the word
            raise TrainingError(
                f"None of the prompts uses the new word (such as {examples.prompts[0]!r}), so there is nothing to "
                "learn; put [name] into each line of the template file."
            )
        encoded = [tensor for tensor in (conditioning.context, conditioning.pooled) if tensor is not None]
        leaves = [tensor.detach().requires_grad_() for tensor in encoded]
        cut = Conditioning(*leaves)
        total = torch.zeros((), device=leaves[0].device)
        sums = [torch.zeros_like(leaf) for leaf in leaves]
        for part in self._parts(len(examples)):
            losses = self._part_losses(examples, part, rows_of(cut, rows[part]))
            with self._stopwatch.phase("unet"):
                loss = (losses * examples.weights[part]).sum() / len(examples)
                for total_gradient, gradient in zip(sums, torch.autograd.grad(loss * scale, leaves), strict=True):
                    total_gradient += gradient
            total += loss.detach()
        with self._stopwatch.phase("text encoder"):
            gradients = torch.autograd.grad(encoded, list(vectors.values()), sums)
        return total.item(), {encoder: gradient / scale for encoder, gradient in zip(vectors, gradients, strict=True)}

    def _encoded(self, examples: Examples, vectors: Mapping[str, Tensor]) -> tuple[Conditioning, Tensor]:
        """Conditioning of the distinct prompts, and the row of each example's, (B,)."""
        distinct = {prompt: row for row, prompt in enumerate(dict.fromkeys(examples.prompts))}
        with self._stopwatch.phase("text encoder"), autocast(self._precision, self._model.device):
            conditioning = self._prompts.encode(list(distinct), vectors)
        return conditioning, torch.tensor([distinct[prompt] for prompt in examples.prompts], device=self._model.device)

    def _part_losses(self, examples: Examples, part: slice, conditioning: Conditioning) -> Tensor:
        with self._stopwatch.phase("unet"):
            with autocast(self._precision, self._model.device):
                predicted = self._model.predict(examples.noisy[part], examples.timesteps[part], conditioning)
            mask = None if examples.mask is None else examples.mask[part]
            return denoising_losses(predicted, examples.target[part], mask)

    def _parts(self, count: int) -> list[slice]:
        return [slice(start, start + self.micro_batch) for start in range(0, count, self.micro_batch)]

    def _within_memory(self, work: Callable[[], T]) -> T:
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.micro_batch == 1:
                    raise TrainingError(
                        "There is too little memory even for one picture at a time; choose a smaller size, "
                        "precision bf16 or fp16, or end other programs that use the memory."
                    ) from error
            # Outside the handler, where the exception no longer keeps the tensors of the failed attempt alive.
            self.micro_batch = (self.micro_batch + 1) // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._on_halved(self.micro_batch)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    message = str(error).lower()
    return "out of memory" in message or "can't allocate memory" in message or "not enough memory" in message
