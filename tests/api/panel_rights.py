"""Who may what of the studio's panels: their buttons and fields pressed and filled over Gradio's own HTTP API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.api.rights_studio import ADMIN, NO, NOBODY, OTHER, OWN, OWNER, YES, Asked, RightsStudio

PEOPLE = (OWNER, ADMIN, OTHER, NOBODY)
ROUTE = "/gradio_api/run/predict"
AT_ONCE_S = 10.0  # within which what the owner asked for has come about

Target: TypeAlias = tuple[str, str]
"""What is pressed, or filled: the id of a part of the page, and the event."""
Given: TypeAlias = Mapping[str, Any]
"""What stands in fields by their ids, where it is not what they show at first."""


class Page:
    """The studio's page, as a program of somebody's presses what is on it."""

    def __init__(self, studio: RightsStudio) -> None:
        self.studio = studio
        answer = studio.ask("GET", "/config", OWNER)
        config = json.loads(answer.text)
        self._parts = {part["id"]: part["props"] for part in config["components"]}
        self._events = [event for event in config["dependencies"] if event["backend_fn"]]
        self._sessions = 0

    def targets(self) -> set[Target]:
        """All that the server is asked for by."""
        return {target for event in self._events for target in self._targets(event)}

    def session(self) -> str:
        """A page that was opened anew."""
        self._sessions += 1
        return f"session-{self._sessions}"

    def press(self, person: str, session: str, target: Target, given: Given | None = None) -> Asked:
        """Let `person` press or fill it; what hangs on it is asked for one after the other."""
        answers = [self._called(person, session, event, given or {}) for event in self._events_of(target)]
        return Asked(max(answer.status for answer in answers), "".join(answer.text for answer in answers))

    def _called(self, person: str, session: str, event: Mapping[str, Any], given: Given) -> Asked:
        fields = [self._parts[id] for id in event["inputs"]]
        data = [given.get(part.get("elem_id"), part.get("value")) for part in fields]
        body = {"data": data, "fn_index": event["id"], "session_hash": session}
        return self.studio.ask("POST", ROUTE, person, body)

    def _events_of(self, target: Target) -> list[Mapping[str, Any]]:
        found = [event for event in self._events if target in self._targets(event)]
        assert found, target
        return found

    def _targets(self, event: Mapping[str, Any]) -> list[Target]:
        return [(self._parts.get(id, {}).get("elem_id") or "", name) for id, name in event["targets"]]


@dataclass(frozen=True)
class Press:
    """Something of a panel that reads or changes what can belong to somebody.

    `subject` makes what it is about, which is the owner's, from his page's session; `given` fills the fields with it;
    `before` is pressed first, in the session of who asks. It `has` happened to the subject, as the answer's text or
    what the studio has become says. With `held` the model is in use meanwhile, so that nothing ends by itself.
    """

    panel: str
    what: str
    target: Target
    has: Callable[[RightsStudio, Any, str], bool]
    subject: Callable[[Page, str], Any] = lambda page, session: None
    given: Callable[[RightsStudio, Any], Given] = lambda studio, subject: {}
    before: tuple[Target, ...] = ()
    held: bool = False


@dataclass(frozen=True)
class Pressed:
    """What was pressed once by somebody, and whether it did something to what is the owner's."""

    subject: Any
    answer: Asked
    happened: bool


def rights_of(page: Page, press: Press) -> dict[str, str]:
    """By person what he may: what the owner's press does is the measure."""
    page.studio.end_what_is_kept()
    with page.studio.trainings.host.turns if press.held else nullcontext():
        pressed = {person: pressed_by(page, press, person) for person in reversed(PEOPLE)}
    for one in pressed.values():  # nor did it later
        assert one.happened or one.subject is None or not press.has(page.studio, one.subject, one.answer.text)
    cells = {person: cell_of(pressed[person]) for person in PEOPLE}
    assert YES in (cells[OWNER], cells[ADMIN]), (press, pressed[OWNER].answer)
    return cells


def pressed_by(page: Page, press: Press, person: str) -> Pressed:
    """Let `person` do it to something of the owner's: in the owner's own page, or in one of his."""
    owners = page.session()
    subject = press.subject(page, owners)
    session = owners if person == OWNER else page.session()
    for target in press.before:
        page.press(person, session, target)
    answer = page.press(person, session, press.target, press.given(page.studio, subject))
    ends = time.monotonic() + (AT_ONCE_S if person == OWNER and subject is not None else 0)
    while not (happened := press.has(page.studio, subject, answer.text)) and time.monotonic() < ends:
        time.sleep(0.02)
    return Pressed(subject, answer, happened and answer.status == 200)


def cell_of(pressed: Pressed) -> str:
    """What the table says of it."""
    if pressed.happened:
        return YES
    is_refused = pressed.answer.status != 200 or "that of ann" in pressed.answer.text
    return NO if is_refused or "Only admins" in pressed.answer.text else OWN
