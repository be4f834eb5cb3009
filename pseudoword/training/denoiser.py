"""The model at work on examples: losses for looking, gradients for learning, in parts that fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..diffusion import BetweenPasses, Conditioning, DiffusionModel, Precision, go_on
from ..errors import TrainingError
from .conditioning import PromptEncoder, rows_of
from .examples import Examples
from .memory import within_memory
from .objective import denoising_losses
from .precision import autocast
from .stopwatch import Stopwatch


@dataclass(frozen=True)
class PromptGroup:
    """Distinct `prompts` that are encoded together, each filled up to `chunks`, and the examples that have them.

    Each of `parts`, which go through the UNet one by one, is the places of B examples and the rows of their prompts.
    """

    prompts: tuple[str, ...]
    chunks: int
    parts: tuple[tuple[Tensor, Tensor], ...]


class Denoiser:
    """Runs the frozen model on `Examples`; at most `micro_batch` of them go through the UNet at once.

    Nor are more prompts than that in the text encoder at once. Where memory is too small, `micro_batch` is halved and
    `on_halved` is told; results stay the same but for rounding. `between_passes` is called where others may come in:
    never between a forward pass and its backward pass.
    """

    def __init__(
        self,
        model: DiffusionModel,
        prompts: PromptEncoder,
        precision: Precision,
        micro_batch: int,
        stopwatch: Stopwatch,
        on_halved: Callable[[int], None],
        between_passes: BetweenPasses = go_on,
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._precision = precision
        self._stopwatch = stopwatch
        self._on_halved = on_halved
        self._between_passes = between_passes
        self.micro_batch = micro_batch

    def losses(self, examples: Examples, vectors: Mapping[str, Tensor]) -> Tensor:
        """The unweighted loss of each example, (B,), float32 on the CPU, with `vectors` as the new word's."""
        with torch.no_grad():
            return within_memory(lambda: self._losses(examples, vectors), self._halve)

    def _losses(self, examples: Examples, vectors: Mapping[str, Tensor]) -> Tensor:
        losses = torch.empty(len(examples))
        for group in self._groups(examples.prompts, vectors):
            conditioning = self._encoded(group, vectors)
            for part, rows in group.parts:
                losses[part] = self._part_losses(examples, part, rows_of(conditioning, rows)).cpu()
                self._between_passes()
        return losses

    def gradients(
        self, examples: Examples, vectors: Mapping[str, Tensor], scale: float
    ) -> tuple[float, dict[str, Tensor]]:
        """The mean weighted loss, and its gradients (n, D) by encoder with respect to `vectors`, which require grad.

        `scale` multiplies what is differentiated and divides the gradients again, against fp16's vanishing. Gradients
        may hold NaN or infinity where the number format overflows; so may the loss.
        """
        with torch.enable_grad():
            return within_memory(lambda: self._gradients(examples, vectors, scale), self._halve)

    def _gradients(
        self, examples: Examples, vectors: Mapping[str, Tensor], scale: float
    ) -> tuple[float, dict[str, Tensor]]:
        if not any(self._prompts.uses_word(prompt) for prompt in examples.prompts):
            raise TrainingError(
                f"None of the prompts uses the new word (such as {examples.prompts[0]!r}), so there is nothing to "
                "learn; put [name] into each line of the template file."
            )
        total = 0.0
        gradients = {encoder: torch.zeros_like(rows) for encoder, rows in vectors.items()}
        for group in self._groups(examples.prompts, vectors):
            loss, more = self._group_gradients(examples, group, vectors, scale)
            total += loss
            for encoder, gradient in more.items():
                gradients[encoder] += gradient / scale
            self._between_passes()
        return total, gradients

    def _group_gradients(
        self, examples: Examples, group: PromptGroup, vectors: Mapping[str, Tensor], scale: float
    ) -> tuple[float, dict[str, Tensor]]:
        """What `group` adds to the loss and to its gradients times `scale`.

        The chain is cut at the conditioning: however many parts the UNet works in, each prompt is encoded once.
        """
        conditioning = self._encoded(group, vectors)
        encoded = [tensor for tensor in (conditioning.context, conditioning.pooled) if tensor is not None]
        leaves = [tensor.detach().requires_grad_() for tensor in encoded]
        cut = Conditioning(*leaves)
        total = torch.zeros((), device=leaves[0].device)
        sums = [torch.zeros_like(leaf) for leaf in leaves]
        for part, rows in group.parts:
            losses = self._part_losses(examples, part, rows_of(cut, rows))
            with self._stopwatch.phase("unet"):
                loss = (losses * examples.weights[part]).sum() / len(examples)
                for total_gradient, gradient in zip(sums, torch.autograd.grad(loss * scale, leaves), strict=True):
                    total_gradient += gradient
            total += loss.detach()
        if not conditioning.context.requires_grad:  # no prompt of this group uses the word
            return total.item(), {}
        with self._stopwatch.phase("text encoder"):
            gradients = torch.autograd.grad(encoded, list(vectors.values()), sums)
        return total.item(), dict(zip(vectors, gradients, strict=True))

    def _encoded(self, group: PromptGroup, vectors: Mapping[str, Tensor]) -> Conditioning:
        with self._stopwatch.phase("text encoder"), autocast(self._precision, self._model):
            return self._prompts.encode(group.prompts, vectors, group.chunks)

    def _part_losses(self, examples: Examples, part: Tensor, conditioning: Conditioning) -> Tensor:
        with self._stopwatch.phase("unet"):
            with autocast(self._precision, self._model):
                predicted = self._model.predict(examples.noisy[part], examples.timesteps[part], conditioning)
            mask = None if examples.mask is None else examples.mask[part]
            return denoising_losses(predicted, examples.target[part], mask)

    def _groups(self, prompts: Sequence[str], vectors: Mapping[str, Tensor]) -> Iterator[PromptGroup]:
        """The distinct `prompts`, at most `micro_batch` at a time, with the examples that have them."""
        distinct = list(dict.fromkeys(prompts))
        # As many chunks in each group: what a prompt is filled up with changes the UNet's answer.
        chunks = self._prompts.most_chunks(distinct, vectors)
        for start in range(0, len(distinct), self.micro_batch):
            rows = {prompt: row for row, prompt in enumerate(distinct[start : start + self.micro_batch])}
            places = [place for place, prompt in enumerate(prompts) if prompt in rows]
            own_rows = torch.tensor([rows[prompts[place]] for place in places], device=self._model.device)
            parts = zip(torch.tensor(places).split(self.micro_batch), own_rows.split(self.micro_batch), strict=True)
            yield PromptGroup(tuple(rows), chunks, tuple(parts))

    def _halve(self) -> TrainingError | None:
        if self.micro_batch == 1:
            return TrainingError(
                "There is too little memory even for one picture at a time; choose a smaller size, "
                "precision bf16 or fp16, or end other programs that use the memory."
            )
        self.micro_batch = (self.micro_batch + 1) // 2
        self._on_halved(self.micro_batch)
        return None
