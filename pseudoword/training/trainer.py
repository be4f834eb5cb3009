"""A training run: learns the vectors of one new word in one folder, and can be stopped and continued at any step.

Everything random is a function of the seed and the step's number, so the checkpoint is small and going on is exact: a
run that was killed ends, on the CPU, with the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ..diffusion import BetweenPasses, DiffusionModel, go_on
from ..embedding import Embedding, save_embedding
from ..errors import MissingExtra, PseudowordError, TrainingError
from ..text.encoder import check_clip_skip
from .checkpoint import RunState, identify, load_fitting, save_checkpoint
from .conditioning import PromptEncoder
from .dataset import PictureSet
from .denoiser import Denoiser
from .events import Event, Finished, FinishReason, PreviewMade, Saved, StepDone, Validated, Warned, to_record
from .history import History
from .latents import encode_one_by_one
from .learner import Learner
from .lesson import Lesson
from .memory import is_out_of_memory
from .naming import check_new_word
from .outcome import TrainingFacts, figures, make_embedding
from .precision import LossScale, choose_precision
from .quality import Judge
from .report import draw_report, save_preview
from .run_folder import RunFolder, locked, reporting_failed_writes, write_whole
from .schedule import learning_rate_at
from .settings import TrainSettings
from .stopwatch import Stopwatch
from .vectors import given_start, start_vectors

if TYPE_CHECKING:
    from ..scoring import ClipScorer

MOST_SETBACKS = 5  # in a row, before the run gives up


class TrainingRun:
    """One run in one folder. Cheap until `events` is called.

    Raises what can be known to fail already: SettingsError for a name that cannot be taken, a start that gives no
    vectors, and a layer that the text encoder lacks; EmbeddingFileError and ModelError for a file to start from that
    cannot be used.

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
        between_passes: BetweenPasses = go_on,
    ) -> None:
        check_new_word(settings.name, model.text_encoders[0].tokenizer)
        self._model = model
        self._settings = settings
        self._pictures = pictures
        self._scorer = scorer
        self._between_passes = between_passes
        self._files = RunFolder(folder)
        for encoder in model.text_encoders:
            check_clip_skip(encoder, settings.clip_skip)
        if not self._files.checkpoint.exists():  # a run that goes on needs its start no more
            given_start(model, settings, scorer)
        self._history = History(self._files.history)
        self._stopwatch = Stopwatch()
        self._precision = choose_precision(settings.precision, model)
        self._prompts = PromptEncoder(model, settings.name, settings.clip_skip)
        self._judge: Judge | None = None
        self._learner: Learner  # from `_prepare` on
        self._warnings: list[str] = []
        self._is_prepared = False
        self._saved_step = -1
        self._timed_steps, self._timed_seconds = 0, 0.0

    @property
    def phase_seconds(self) -> Mapping[str, float]:
        """Seconds spent so far, by phase of the run.

        The phases are "preparation", "batch", "text encoder", "unet", "optimiser", "validation", "preview", "saving"
        and "report". "text encoder" and "unet" are those of training steps alone. On a GPU, which works behind the
        clock, they blur.
        """
        return self._stopwatch.seconds

    @property
    def model(self) -> DiffusionModel:
        """What it trains on."""
        return self._model

    @property
    def has_begun(self) -> bool:
        """Whether it is prepared, so that there is a result, and there are records."""
        return self._is_prepared

    @property
    def records(self) -> list[dict[str, Any]]:
        """The history so far, the part before a restart included (see `events.to_record`)."""
        return self._history.records

    def events(self) -> Generator[Event, None, None]:
        """Train, yielding after each picture that is encoded and after each step.

        Goes on from the folder's checkpoint where there is one. Closing the generator saves what was learned first.
        Raises TrainingError where the run cannot go on, with the way out in its message; DatasetError and SettingsError
        where it cannot start.
        """
        self._files.make()
        with locked(self._files.path):
            self._files.remove_unfinished()
            yield from self._prepare()
            try:
                finished = False
                while not finished:
                    for event in self._timed_advance():
                        yield event
                        finished = isinstance(event, Finished)
            except BaseException as error:
                self._save_before_leaving(error)
                raise

    def result(self, which: Literal["best", "last"] = "best") -> Embedding:
        """The word as it was at its best or at its last step; raises TrainingError while it prepares.

        Without any validation the last step is the best known.
        """
        if not self._is_prepared:
            raise TrainingError(f"The run in {self._files.path} has not begun; go through its events first.")
        state = self._learner.state
        use_best = which == "best" and state.progress.best_loss is not None
        facts = TrainingFacts(
            step=state.progress.best_step if use_best else state.step,
            start_words=self._learner.start.words,
            picture_count=len(self._training_images),
            size=self._settings.size or self._model.native_size,
            validation_loss=state.progress.best_loss if use_best else self._last_validation_loss(),
        )
        vectors = self._learner.vectors("best" if use_best else "last")
        return make_embedding(self._model, self._settings, vectors, facts)

    def _last_validation_loss(self) -> float | None:
        """The validation loss of the vectors as they are, None unless they were validated."""
        latest = self._history.of_kind("validated")[-1:]
        return next((record["loss"] for record in latest if record["step"] == self._learner.state.step), None)

    # ---- beginning and leaving -------------------------------------------------------------------------------------

    def _prepare(self) -> Iterator[Event]:
        """Load what the run needs, from the checkpoint if there is one; does nothing the second time."""
        if self._is_prepared and self._learner.is_whole:
            return
        preparation = self._preparation()
        while True:
            with self._stopwatch.phase("preparation"), torch.inference_mode(False):
                event = next(preparation, None)
            if event is None:
                break
            yield event
        self._is_prepared = True

    def _preparation(self) -> Generator[Event, None, None]:
        settings = self._settings
        self._identity = identify(self._model, settings, self._pictures)
        checkpoint = load_fitting(self._files.checkpoint, self._identity)
        step = 0 if checkpoint is None else checkpoint.state.step
        dataset = yield from encode_one_by_one(self._model, self._pictures, settings, step)
        self._lesson = Lesson(self._model, settings, dataset)
        self._training_images = [picture.load_small() for picture in dataset.pictures.pictures]
        if checkpoint is None:
            start = start_vectors(self._model, settings, self._training_images, self._scorer)
            self._warnings.extend(start.warnings)
            state = RunState(settings.batch, loss_scale=LossScale.for_precision(self._precision))
            self._learner = Learner(self._model, settings, start, state)
            for skipped in dataset.pictures.skipped[len(self._pictures.skipped) :]:
                self._warnings.append(f"{skipped.path.name} was skipped: {skipped.reason}.")
        else:
            self._learner = Learner.resumed(self._model, settings, checkpoint)
        state = self._learner.state
        self._saved_step = -1 if checkpoint is None else state.step
        self._history.restore(state.records)
        self._denoiser = Denoiser(
            self._model,
            self._prompts,
            self._precision,
            state.micro_batch,
            self._stopwatch,
            self._note_halved,
            self._between_passes,
        )
        write_whole(self._files.settings, (json.dumps(settings.to_dict(), indent=2) + "\n").encode())

    def _save_before_leaving(self, error: BaseException) -> None:
        """Save unless there is nothing new, or `error` came between changes that belong together."""
        if not self._learner.is_whole or self._saved_step == self._learner.state.step:
            return
        # Where the run ends with an error, that one is told, not a second one from a disk that may be full.
        with contextlib.suppress(PseudowordError) if isinstance(error, Exception) else contextlib.nullcontext():
            self._save()

    # ---- going on --------------------------------------------------------------------------------------------------

    def _timed_advance(self) -> list[Event]:
        start = time.perf_counter()
        with torch.inference_mode(False):  # which a caller's thread may have on, and which leaves no gradients
            events = self._advance()
        seconds = time.perf_counter() - start
        self._learner.state.seconds += seconds
        if self._timed_steps:
            self._timed_seconds += seconds
        warned: list[Event] = [Warned(self._learner.state.step, message) for message in self._warnings]
        self._warnings.clear()
        for event in warned:
            self._history.add(to_record(event))
        return warned + events

    def _advance(self) -> list[Event]:
        """Do the one thing that is due next. Each leaves a state that can be saved and continued."""
        settings, state = self._settings, self._learner.state
        reason = self._reason_to_end()
        if self._is_due(settings.validate_every, state.validated_at, reason):
            return self._validate()
        if self._is_due(settings.preview_every, state.previewed_at, reason):
            return self._preview()
        if self._saved_step != state.step and (reason or self._is_due(settings.save_every, self._saved_step, reason)):
            return self._save()
        return self._step() if reason is None else self._finish(reason)

    def _is_due(self, every: int, done_at: int, reason: FinishReason | None) -> bool:
        step = self._learner.state.step
        return every > 0 and done_at != step and (reason is not None or step % every == 0)

    def _reason_to_end(self) -> FinishReason | None:
        state = self._learner.state
        if state.step >= self._settings.steps:
            return "steps"
        if self._settings.early_stop and state.progress.stale >= self._settings.patience:
            return "early stop"
        return None

    def _step(self) -> list[Event]:
        start = time.perf_counter()
        learner, state = self._learner, self._learner.state
        index = state.step  # of this step, counted from 0; the step is done when `state.step` is one more
        with self._stopwatch.phase("batch"):
            examples = self._lesson.examples(index)
        loss, gradients = self._denoiser.gradients(examples, learner.word.vectors, state.loss_scale.value)
        with self._stopwatch.phase("optimiser"):
            finite = all(bool(gradient.isfinite().all()) for gradient in gradients.values())
            overflowed = not finite and state.loss_scale.overflowed()
            if not math.isfinite(loss) or not (finite or overflowed):
                return self._set_back(index + 1, "loss")
            rate = learning_rate_at(self._settings, index) * state.rate_factor
            with learner.changing():
                if finite:
                    learner.word.update(gradients, rate)
                    state.loss_scale.held(self._precision)
                state.step = index + 1
        seconds = time.perf_counter() - start
        self._timed_steps += 1
        pace = (self._timed_seconds + seconds) / self._timed_steps
        left = pace * (self._settings.steps - state.step)
        event = StepDone(state.step, self._settings.steps, loss, rate, seconds, left)
        self._history.add(to_record(event))
        return [event]

    def _validate(self) -> list[Event]:
        learner = self._learner
        with self._stopwatch.phase("validation"):
            loss = self._lesson.validation_set.loss(self._denoiser, learner.word.vectors)
        if not math.isfinite(loss):
            return self._set_back(learner.state.step, "validation loss")
        learner.observe(loss)
        progress = learner.state.progress
        assert progress.best_loss is not None
        event = Validated(learner.state.step, loss, progress.best_step, progress.best_loss, progress.stale)
        self._history.add(to_record(event))
        learner.remember()
        return [event]

    def _preview(self) -> list[Event]:
        """Pictures of the word as it is, and at the end also as it was at its best, if that was not seen then."""
        state, events = self._learner.state, list[Event]()
        previewed = {record["step"] for record in self._history.of_kind("preview")}
        wanted: dict[int, Literal["best", "last"]] = {state.step: "last"}
        if self._reason_to_end() and state.progress.best_loss is not None:
            wanted.setdefault(state.progress.best_step, "best")
        for step, which in wanted.items():
            if step not in previewed:
                events += self._preview_of(step, self._learner.vectors(which))
        state.previewed_at = state.step
        self._learner.remember()
        return events

    def _preview_of(self, step: int, vectors: Mapping[str, Tensor]) -> list[Event]:
        with self._stopwatch.phase("preview"):
            try:
                if self._judge is None:
                    self._judge = Judge(
                        self._model,
                        self._prompts,
                        self._settings,
                        self._training_images,
                        self._scorer,
                        self._between_passes,
                    )
                preview = self._judge.preview(vectors)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._warnings.append("There was too little memory for a preview, so it was left out; the run goes on.")
                return []
            event = PreviewMade(step, save_preview(self._files, step, preview), preview.likeness, preview.editability)
        self._history.add(to_record(event, self._files.path))
        return [event]

    def _save(self) -> list[Event]:
        """Write history, embeddings and, last, the checkpoint that vouches for them."""
        learner = self._learner
        if not learner.word.is_finite():
            return self._set_back(learner.state.step, "vectors")
        with self._stopwatch.phase("saving"):
            self._history.flush()
            learner.state.records = len(self._history.records)
            for which in ("best", "last"):
                path = self._files.word(self._settings.name, which)
                with reporting_failed_writes(path):
                    save_embedding(self.result(which), path, overwrite=True)
            save_checkpoint(learner.checkpoint(self._identity), self._files.checkpoint)
        self._saved_step = learner.state.step
        learner.remember()
        return [Saved(learner.state.step, self._files.checkpoint)]

    def _finish(self, reason: FinishReason) -> list[Event]:
        state, records = self._learner.state, self._history.records
        best_step = state.progress.best_step if state.progress.best_loss is not None else state.step
        finished = Finished(reason, state.step, best_step, figures(records, best_step, state.step, state.seconds))
        if records[-1]["event"] != "finished":
            self._history.add(to_record(finished))
        self._history.flush()
        try:
            with self._stopwatch.phase("report"):
                draw_report(self._files, self._settings.name, records, self._training_images, best_step, state.step)
        except MissingExtra as error:
            return [Warned(state.step, f"The picture of the loss curve was left out: {error}"), finished]
        return [finished]

    # ---- when something goes wrong ---------------------------------------------------------------------------------

    def _set_back(self, step: int, what: str) -> list[Event]:
        """Go back to the last good state at half the rate, since the `what` of `step` is not a number."""
        self._learner.go_back(step)
        state = self._learner.state
        self._history.drop_after(state.step)
        if state.setbacks >= MOST_SETBACKS:
            raise TrainingError(
                f"The {what} at step {step} was not a number, {MOST_SETBACKS} times in a row, each time at half the "
                f"learning rate, so the run stopped at step {state.step}; start a new one with a lower learning rate, "
                "precision fp32, or without the pictures that cause it."
            )
        self._warnings.append(
            f"The {what} at step {step} was not a number; the run went back to step {state.step} "
            f"and goes on at {state.rate_factor:g} of the learning rate."
        )
        return []

    def _note_halved(self, micro_batch: int) -> None:
        self._learner.state.micro_batch = micro_batch
        self._warnings.append(
            f"There was too little memory, so pictures go through the model {micro_batch} at a time now; "
            "what is learned stays the same."
        )
