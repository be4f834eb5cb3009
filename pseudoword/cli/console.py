"""What a command says while it works: to a person with a bar, or to a program as JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from ..training.events import Event, Preparing, PreviewMade, StepDone, Validated, Warned, to_record

SHORTEST_BAR, LONGEST_BAR = 4, 24  # characters between the brackets


class Console(Protocol):
    """Where a command reports. Nothing is shown late: every line is flushed."""

    def note(self, text: str) -> None:
        """Something worth knowing, in one sentence."""
        ...

    def warn(self, text: str) -> None:
        """Something that went wrong and does no harm."""
        ...

    def event(self, event: Event) -> None:
        """Something that a training run did."""
        ...

    def progress(self, done: int, total: int, seconds_left: float | None, counted: str = "pictures") -> None:
        """How many of what is `counted` are done, and about how long the others take, if that is known."""
        ...

    def item(self, values: Mapping[str, Any], text: str) -> None:
        """One of many things that come out, as soon as it is there; `text` is a line."""
        ...

    def result(self, values: Mapping[str, Any], text: str) -> None:
        """What came out, at the end: `values` for programs, `text` for people."""
        ...

    def fail(self, message: str) -> None:
        """Why it could not be done."""
        ...


class JsonConsole:
    """One JSON object a line, with the key "event", "result" or "error"; paths as text, in ASCII."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def note(self, text: str) -> None:
        """`{"event": "note", "message": …}`"""
        self._write({"event": "note", "message": text})

    def warn(self, text: str) -> None:
        """`{"event": "warned", "message": …}`"""
        self._write({"event": "warned", "message": text})

    def event(self, event: Event) -> None:
        """The event's own record, as in `history.jsonl`, but with paths that hold outside the run's folder, too."""
        self._write(to_record(event))

    def progress(self, done: int, total: int, seconds_left: float | None, counted: str = "pictures") -> None:
        """`{"event": "progress", …}`"""
        record = {"done": done, "total": total, "counted": counted, "seconds_left": seconds_left}
        self._write({"event": "progress", **record})

    def item(self, values: Mapping[str, Any], text: str) -> None:
        """`{"event": "item", …}`"""
        self._write({"event": "item", **values})

    def result(self, values: Mapping[str, Any], text: str) -> None:
        """`{"result": values}`"""
        self._write({"result": values})

    def fail(self, message: str) -> None:
        """`{"error": message}`"""
        self._write({"error": message})

    def _write(self, record: Mapping[str, Any]) -> None:
        self._out.write(json.dumps(record, default=str) + "\n")
        self._out.flush()


class TerminalConsole:
    """The result on `out`; notes, warnings and errors on `err`, with a bar where it is a terminal."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._has_bar = err.isatty()
        self._bar_length = 0
        self._validated: Validated | None = None

    def note(self, text: str) -> None:
        """A line."""
        self._line(text)

    def warn(self, text: str) -> None:
        """A line that says it is a warning."""
        self._line(f"warning: {text}")

    def event(self, event: Event) -> None:
        """Move the bar; where there is none, one line per validation."""
        if isinstance(event, Warned):
            self.warn(event.message)
        elif isinstance(event, Validated):
            self._validated = event
            if not self._has_bar:
                best = "the lowest so far" if event.best_step == event.step else f"lowest at step {event.best_step}"
                self._line(f"step {event.step}: validation loss {event.loss:.4f}, {best}")
        elif isinstance(event, PreviewMade) and event.likeness is not None and event.editability is not None:
            self._line(f"step {event.step}: likeness {event.likeness:.3f}, editability {event.editability:.3f}")
        elif isinstance(event, (Preparing, StepDone)) and self._has_bar:
            width = terminal_width()
            if isinstance(event, StepDone):
                self._show_bar(bar_of(event, self._validated, width))
            else:
                self._show_bar(preparation_bar_of(event, width))

    def progress(self, done: int, total: int, seconds_left: float | None, counted: str = "pictures") -> None:
        """Move the bar, where there is one."""
        if self._has_bar:
            self._show_bar(counting_bar_of(done, total, seconds_left, counted, terminal_width()))

    def item(self, values: Mapping[str, Any], text: str) -> None:
        """The line, on standard output."""
        self.result(values, text)

    def result(self, values: Mapping[str, Any], text: str) -> None:
        """The text, on standard output."""
        self._clear_bar()
        self._out.write(text + "\n")
        self._out.flush()

    def fail(self, message: str) -> None:
        """The message, in one line."""
        self._line(f"pseudoword: {message}")

    def _line(self, text: str) -> None:
        self._clear_bar()
        self._err.write(text + "\n")
        self._err.flush()

    def _show_bar(self, bar: str) -> None:
        self._err.write("\r" + bar.ljust(self._bar_length))
        self._err.flush()
        self._bar_length = len(bar)

    def _clear_bar(self) -> None:
        if self._bar_length:
            self._err.write("\r" + " " * self._bar_length + "\r")
            self._bar_length = 0


def terminal_width() -> int:
    """Characters in a line of a bar: a full one would wrap."""
    return max(shutil.get_terminal_size().columns - 1, 20)


def bar_of(step: StepDone, validated: Validated | None, width: int) -> str:
    """One line of at most `width` characters: how far, time left, the step's loss, learning rate, best validation.

    Plain ASCII, which every console can show.
    """
    parts = [f"{step.step}/{step.steps}", f"{time_text(step.seconds_left)} left"]
    parts += [f"loss {step.loss:.4f}", f"rate {step.learning_rate:.1e}"]
    if validated is not None:
        parts.append(f"best {validated.best_loss:.4f} at {validated.best_step}")
    return _bar(step.step, step.steps, "  ".join(parts), width)


def preparation_bar_of(event: Preparing, width: int) -> str:
    """One line of at most `width` characters: how many pictures are encoded; the rest is not counted."""
    after = "; getting ready" if event.done == event.total else ""
    return _bar(event.done, event.total, f"{event.done}/{event.total} pictures encoded{after}", width)


def counting_bar_of(done: int, total: int, seconds_left: float | None, counted: str, width: int) -> str:
    """One line of at most `width` characters: how many of what is `counted` are done."""
    left = "" if seconds_left is None else f"  {time_text(seconds_left)} left"
    return _bar(done, total, f"{done}/{total} {counted}{left}", width)


def _bar(done: int, total: int, text: str, width: int) -> str:
    length = min(max(width - len(text) - 3, SHORTEST_BAR), LONGEST_BAR)
    filled = round(length * done / total)
    return f"[{'#' * filled}{'-' * (length - filled)}] {text}"[:width]


def time_text(seconds: float) -> str:
    """`seconds` as 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
