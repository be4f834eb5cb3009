"""A training run: learns the vectors of one new word in one folder, and can be stopped and continued at any step.

Everything random is a function of the seed and the step's number, so the checkpoint is small and going on is exact: a
run that was killed ends, on the CPU, with the same bits as one that was not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ..diffusion import DiffusionModel
from ..embedding import Embedding, save_embedding
from ..errors import EmbeddingFileError, MissingExtra, TrainingError
from .checkpoint import Checkpoint, RunIdentity, RunState, load_checkpoint, picture_hash, save_checkpoint
from .conditioning import PromptEncoder
from .dataset import PictureSet
from .denoiser import Denoiser, is_out_of_memory
from .events import Event, Finished, FinishReason, PreviewMade, Saved, StepDone, Validated, Warned, to_record
from .history import History
from .latents import encode_pictures
from .lesson import Lesson
from .naming import check_new_word
from .outcome import TrainingFacts, figures, make_embedding
from .precision import LossScale, choose_precision
from .quality import Judge
from .report import draw_report, save_preview
from .run_folder import RunFolder, locked, write_whole
from .schedule import learning_rate_at
from .settings import TrainSettings
from .stopwatch import Stopwatch
from .vectors import LearnedWord, start_vectors, vocabulary_norms

if TYPE_CHECKING:
    from ..scoring import ClipScorer

MOST_SETBACKS = 5  # in a row, before the run gives up


@dataclass(frozen=True)
class _GoodState:
    """A moment to go back to: `word` is `LearnedWord.state()`, `best` the best vectors by then."""

    state: RunState
    word: Mapping[str, Tensor]
    best: Mapping[str, Tensor]


class TrainingRun:
    """One run in one folder. Cheap until `events` is called; raises SettingsError for a name that cannot be taken.

    `phase_seconds` says where the time went. After an error that can be mended, such as a full disk, calling `events`
    again goes on from where it was, with nothing lost as long as this object lives.
    """

    def __init__(
        self,
        model: DiffusionModel,
        settings: TrainSettings,
        pictures: PictureSet,
        folder: Path,
        scorer: ClipScorer | None = None,
    ) -> None:
        check_new_word(settings.name, model.text_encoders[0].tokenizer, None)
        self._model = model
        self._settings = settings
        self._pictures = pictures
        self._scorer = scorer
        self._files = RunFolder(folder)
        self._history = History(self._files.history)
        self._stopwatch = Stopwatch()
        self._precision = choose_precision(settings.precision, model.device)
        self._prompts = PromptEncoder(model, settings.name, settings.clip_skip)
        self._warnings: list[str] = []
        self._prepared = False
        self._updating = False
        self._saved_step = -1
        self._timed_steps, self._timed_seconds = 0, 0.0

    @property
    def phase_seconds(self) -> Mapping[str, float]:
        """Seconds spent so far in "preparation", "batch", "text encoder", "unet", "optimiser", "validation", "preview", "saving".

        "text encoder" and "unet" are those of training steps alone. On a GPU, which works behind the clock, they blur.
        """
        return self._stopwatch.seconds

    def events(self) -> Iterator[Event]:
        """Train, yielding after each step; goes on from the folder's checkpoint where there is one.

        Closing the generator saves first. Raises TrainingError where the run cannot go on, with the way out in its
        message; DatasetError and SettingsError where it cannot start.
        """
        self._files.make()
        with locked(self._files.path):
            self._prepare()
            try:
                finished = False
                while not finished:
                    for event in self._timed_advance():
                        yield event
                        finished = isinstance(event, Finished)
            except (GeneratorExit, KeyboardInterrupt):
                if not self._updating and self._saved_step != self._state.step:
                    self._save()
                raise

    def result(self, which: Literal["best", "last"] = "best") -> Embedding:
        """The word as it was at its best or at its last step; raises TrainingError before the run has begun."""
        if not self._prepared:
            raise TrainingError(f"The run in {self._files.path} has not begun; go through its events first.")
        progress = self._state.progress
        use_best = which == "best" and progress.best_loss is not None
        facts = TrainingFacts(
            step=progress.best_step if use_best else self._state.step,
            start_words=self._start_words,
            picture_count=len(self._pictures.pictures),
            size=self._settings.size or self._model.native_size,
            validation_loss=progress.best_loss if use_best else self._last_validation_loss(),
        )
        vectors = self._best if use_best else self._word.copied_vectors()
        return make_embedding(self._model, self._settings, vectors, facts)

    def _last_validation_loss(self) -> float | None:
        validations = self._history.of_kind("validated")
        loss: float | None = validations[-1]["loss"] if validations else None
        return loss

    # ---- beginning -------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Load what the run needs, from the checkpoint if there is one; does nothing the second time."""
        if self._prepared:
            return
        with self._stopwatch.phase("preparation"):
            self._identity = self._own_identity()
            checkpoint = self._fitting_checkpoint()
            dataset = encode_pictures(self._model, self._pictures, self._settings)
            self._lesson = Lesson(self._model, self._settings, dataset)
            self._training_images = [picture.load() for picture in self._pictures.pictures]
            self._judge: Judge | None = None
            self._begin_or_go_on(checkpoint)
            content = json.dumps(self._settings.to_dict(), indent=2) + "\n"
            write_whole(self._files.settings, content.encode())
        self._prepared = True

    def _own_identity(self) -> RunIdentity:
        pictures = tuple(
            (picture.path.name, picture_hash(picture.path, picture.filewords)) for picture in self._pictures.pictures
        )
        return RunIdentity(self._model.title, self._model.sha256, self._settings.to_dict(), pictures)

    def _fitting_checkpoint(self) -> Checkpoint | None:
        if not self._files.checkpoint.exists():
            return None
        checkpoint = load_checkpoint(self._files.checkpoint)
        differences = checkpoint.identity.differences(self._identity)
        if differences:
            raise TrainingError(
                f"The run in {self._files.path} cannot go on, because {'; '.join(differences)}. "
                "Restore what it was, or train into another folder."
            )
        return checkpoint

    def _begin_or_go_on(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is None:
            start = start_vectors(self._model, self._settings, self._training_images, self._scorer)
            self._start, self._start_words = start.vectors, start.words
            self._best: Mapping[str, Tensor] = start.vectors
            self._state = RunState(micro_batch=self._settings.batch, loss_scale=LossScale.for_precision(self._precision))
        else:
            self._start, self._start_words = checkpoint.start, checkpoint.start_words
            self._best = checkpoint.best
            self._state = checkpoint.state
            self._saved_step = checkpoint.state.step
        self._history.restore(-1 if checkpoint is None else self._state.step)
        self._word = LearnedWord(
            self._start,
            self._model.device,
            norms=vocabulary_norms(self._model) if self._settings.norm == "vocabulary" else None,
            weight_decay=self._settings.weight_decay,
            clip_grad=self._settings.clip_grad,
        )
        if checkpoint is not None:
            self._word.restore(checkpoint.word)
        self._denoiser = Denoiser(
            self._model, self._prompts, self._precision, self._state.micro_batch, self._stopwatch, self._note_halved
        )
        self._remember_good_state()

    # ---- going on --------------------------------------------------------------------------------------------------

    def _timed_advance(self) -> list[Event]:
        start = time.perf_counter()
        events = self._advance()
        seconds = time.perf_counter() - start
        self._state.seconds += seconds
        if self._timed_steps:
            self._timed_seconds += seconds
        warned: list[Event] = [Warned(self._state.step, message) for message in self._warnings]
        self._warnings.clear()
        for event in warned:
            self._history.add(to_record(event, self._files.path))
        return warned + events

    def _advance(self) -> list[Event]:
        """Do the one thing that is due next. Each leaves a state that can be saved and continued."""
        settings, state = self._settings, self._state
        reason = self._reason_to_end()
        if self._is_due(settings.validate_every, state.validated_at, reason):
            return self._validate()
        if self._is_due(settings.preview_every, state.previewed_at, reason):
            return self._preview()
        if self._saved_step != state.step and (reason or self._is_due(settings.save_every, self._saved_step, reason)):
            return self._save()
        return self._step() if reason is None else self._finish(reason)

    def _is_due(self, every: int, done_at: int, reason: FinishReason | None) -> bool:
        return every > 0 and done_at != self._state.step and (reason is not None or self._state.step % every == 0)

    def _reason_to_end(self) -> FinishReason | None:
        if self._state.step >= self._settings.steps:
            return "steps"
        if self._settings.early_stop and self._state.progress.stale >= self._settings.patience:
            return "early stop"
        return None

    def _step(self) -> list[Event]:
        start = time.perf_counter()
        index = self._state.step  # of this step, counted from 0; the step is done when `state.step` is one more
        with self._stopwatch.phase("batch"):
            examples = self._lesson.examples(index)
        loss, gradients = self._denoiser.gradients(examples, self._word.vectors, self._state.loss_scale.value)
        with self._stopwatch.phase("optimiser"):
            finite = all(bool(gradient.isfinite().all()) for gradient in gradients.values())
            overflowed = not finite and self._state.loss_scale.overflowed()
            if loss != loss or abs(loss) == float("inf") or not (finite or overflowed):
                return self._set_back(index + 1, "loss")
            rate = learning_rate_at(self._settings, index) * self._state.rate_factor
            self._updating = True
            if finite:
                self._word.update(gradients, rate)
                self._state.loss_scale.held(self._precision)
            self._state.step = index + 1
            self._updating = False
        seconds = time.perf_counter() - start
        self._timed_steps += 1
        pace = (self._timed_seconds + seconds) / self._timed_steps
        left = pace * (self._settings.steps - self._state.step)
        event = StepDone(self._state.step, self._settings.steps, loss, rate, seconds, left)
        self._history.add(to_record(event))
        return [event]

    def _validate(self) -> list[Event]:
        with self._stopwatch.phase("validation"):
            loss = self._lesson.validation_set.loss(self._denoiser, self._word.vectors)
        if not torch.isfinite(torch.tensor(loss)):
            return self._set_back(self._state.step, "validation loss")
        state = self._state
        state.validated_at = state.step
        if state.progress.observe(state.step, loss):
            self._best = self._word.copied_vectors()
        progress = state.progress
        assert progress.best_loss is not None
        event = Validated(state.step, loss, progress.best_step, progress.best_loss, progress.stale)
        self._history.add(to_record(event))
        self._history.flush()
        self._remember_good_state()
        return [event]

    def _preview(self) -> list[Event]:
        events = self._preview_of(self._state.step, self._word.vectors)
        self._state.previewed_at = self._state.step
        return events

    def _preview_of(self, step: int, vectors: Mapping[str, Tensor]) -> list[Event]:
        with self._stopwatch.phase("preview"):
            if self._judge is None:
                self._judge = Judge(self._model, self._prompts, self._settings, self._training_images, self._scorer)
            try:
                preview = self._judge.preview(vectors)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._warnings.append("There was too little memory for a preview, so it was left out; training goes on.")
                return []
            event = PreviewMade(step, save_preview(self._files, step, preview), preview.likeness, preview.editability)
        self._history.add(to_record(event, self._files.path))
        return [event]

    def _save(self) -> list[Event]:
        """Write history, embeddings and, last, the checkpoint that vouches for them."""
        if not self._word.is_finite():
            return self._set_back(self._state.step, "vectors")
        with self._stopwatch.phase("saving"):
            self._history.flush()
            for which in ("best", "last"):
                self._save_word(which)
            save_checkpoint(self._checkpoint(), self._files.checkpoint)
        self._saved_step = self._state.step
        self._remember_good_state()
        return [Saved(self._state.step, self._files.checkpoint)]

    def _save_word(self, which: Literal["best", "last"]) -> None:
        try:
            save_embedding(self.result(which), self._files.word(self._settings.name, which), overwrite=True)
        except EmbeddingFileError as error:
            raise TrainingError(f"The run paused, its last checkpoint is whole: {error} Then start it again to go on.") from error

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(self._identity, self._state, self._start_words, self._start, self._best, self._word.state())

    def _finish(self, reason: FinishReason) -> list[Event]:
        state, events = self._state, list[Event]()
        best_step = state.progress.best_step if state.progress.best_loss is not None else state.step
        previewed = {record["step"] for record in self._history.of_kind("preview")}
        if self._settings.preview_every and best_step not in previewed:
            events += self._preview_of(best_step, self._best)
        finished = Finished(reason, state.step, best_step, figures(self._history.records, best_step, state.step))
        if not self._history.records or self._history.records[-1]["event"] != "finished":
            self._history.add(to_record(finished))
        self._history.flush()
        try:
            draw_report(self._files, self._settings.name, self._history.records, self._training_images, best_step, state.step)
        except MissingExtra as error:
            events.append(Warned(state.step, f"The picture of the loss curve was left out: {error}"))
        return [*events, finished]

    # ---- when something goes wrong ---------------------------------------------------------------------------------

    def _remember_good_state(self) -> None:
        if self._state.step > self._state.last_setback_step:
            self._state.setbacks = 0
        self._good = _GoodState(self._state.copy(), self._word.state(), self._best)

    def _set_back(self, step: int, what: str) -> list[Event]:
        """Go back to the last good state at half the rate, since the `what` of `step` is not a number."""
        failed, good = self._state, self._good
        self._state = good.state.copy()
        self._state.setbacks = failed.setbacks + 1
        self._state.last_setback_step = max(step, failed.last_setback_step)
        self._state.rate_factor = failed.rate_factor / 2
        self._state.micro_batch, self._state.seconds = failed.micro_batch, failed.seconds
        self._state.loss_scale = failed.loss_scale
        self._word.restore(good.word)
        self._best = good.best
        self._history.drop_after(self._state.step)
        if self._state.setbacks >= MOST_SETBACKS:
            if self._saved_step < self._state.step:
                self._save()
            raise TrainingError(
                f"The {what} at step {step} was not a number {MOST_SETBACKS} times in a row, each time at half the learning "
                f"rate, so the run stopped at step {self._state.step}; start a new one with a lower learning rate, "
                "precision fp32, or without the pictures that cause it."
            )
        self._warnings.append(
            f"The {what} at step {step} was not a number; the run went back to step {self._state.step} "
            f"and goes on at {self._state.rate_factor:g} of the learning rate."
        )
        return []

    def _note_halved(self, micro_batch: int) -> None:
        self._state.micro_batch = micro_batch
        self._warnings.append(
            f"There was too little memory, so pictures go through the model {micro_batch} at a time now; "
            "what is learned stays the same."
        )
