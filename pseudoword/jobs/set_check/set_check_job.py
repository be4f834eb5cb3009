"""One check of a training set in a thread of its own, which can be watched and cancelled meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias, cast

from PIL import Image
from torch import Tensor

from ...decoding import decode_picture
from ...diffusion import DiffusionModel
from ...errors import DatasetError, PseudowordError, SettingsError
from ...training.contact_sheet import png_bytes, resized
from ...training.dataset import PictureSet, Skipped, files_at, look_at
from ...training.round_trip import RoundTrip, as_picture, round_trip
from ...training.set_check import Checked, Measured, SeenByClip, check_set, measure, remarks_on, trained_pixels
from ..copied_files import copies_of
from ..host import Host
from ..server.measures import TimedTurns
from ..slices import Slices
from ..turns import Turns, WantedTurns
from ..watched_job import WatchedJob
from .set_check_request import CheckRequest
from .set_clip import ClipOnSets

State: TypeAlias = Literal["waiting", "looking", "round trips", "finished", "cancelled", "failed"]
MOST_PICTURES = 500  # a word is learned from 3 to 10, a style from some dozens; each is kept twice for the page
SIZE_WITHOUT_MODEL, FACTOR_WITHOUT_MODEL = 512, 8
SHOWN_SIDE, SHOWN_SIDE_OF_MANY, MANY = 512, 256, 50  # pixels


@dataclass(frozen=True, eq=False)
class SetCheckWatched:
    """What a check looks like at one moment.

    `done` of `total` pieces of work; `seconds_left` is None as long as nothing is known about it. `checked` are the
    pictures that training would use, as far as they were looked at, and `sources` the files that were given for them;
    `skipped` those that it would pass over, with the reasons. `has_round_trip` says which have been through the VAE.
    `size` is the side in pixels that was checked for, `clip` the title of the model that looked, "" without one.
    """

    id: str
    state: State
    message: str
    done: int
    total: int
    seconds_left: float | None
    size: int
    clip: str
    checked: tuple[Checked, ...]
    sources: tuple[Path, ...]
    has_round_trip: tuple[bool, ...]
    skipped: tuple[Skipped, ...]
    remarks: tuple[str, ...]


class SetCheckJob(WatchedJob):
    """A check.

    `turns` are those of all checks together. The diffusion model is used inside the turns of `host` only, about
    `host.slice_s()` seconds at a time. `place` is a folder that the job removes when it has ended.
    """

    CANCELLED = "Cancelled; what was found by then is kept."
    TOO_LITTLE_MEMORY = "There is too little memory to check pictures; end what else uses the memory, or train smaller."

    def __init__(
        self,
        id: str,
        request: CheckRequest,
        host: Host,
        clip: ClipOnSets,
        turns: Turns,
        place: TemporaryDirectory[str] | None = None,
    ) -> None:
        super().__init__(id, "check")
        self.request = request
        self._host, self._clip, self._place = host, clip, place
        self._turns = WantedTurns(turns, self._is_wanted)
        self._model: DiffusionModel | None = None
        self._slices = Slices(TimedTurns(host.turns, host.measures), self._borrowed, host.slice_s, self._is_wanted)
        self._size, self._latent_factor = SIZE_WITHOUT_MODEL, FACTOR_WITHOUT_MODEL
        self._clip_title = ""
        self._checked: list[Checked] = []
        self._sources: list[Path] = []
        self._skipped: list[Skipped] = []
        self._remarks: list[str] = []
        self._originals: list[bytes] = []
        self._round_trips: dict[int, bytes] = {}

    # ---- from outside ----------------------------------------------------------------------------------------------

    def watch(self) -> SetCheckWatched:
        """How it stands now."""
        with self._changed:
            return SetCheckWatched(
                self.id,
                cast(State, self._state),
                self._message,
                self._done,
                self._total,
                self._seconds_left(),
                self._size,
                self._clip_title,
                tuple(self._checked),
                tuple(self._sources),
                tuple(place in self._round_trips for place in range(len(self._checked))),
                tuple(self._skipped),
                tuple(self._remarks),
            )

    @property
    def bytes_kept(self) -> int:
        """How much memory its pictures take."""
        with self._changed:
            return sum(map(len, self._originals)) + sum(map(len, self._round_trips.values()))

    def original(self, number: int) -> bytes | None:
        """The picture with that number as it is trained, as a PNG; None where there is none."""
        with self._changed:
            return self._originals[number] if 0 <= number < len(self._originals) else None

    def round_trip(self, number: int) -> bytes | None:
        """The same after its round trip; None before it."""
        with self._changed:
            return self._round_trips.get(number)

    # ---- in the thread ---------------------------------------------------------------------------------------------

    def _do(self) -> str:
        assert self._turns is not None
        with self._turns:
            self._check()
        return ""

    def _left(self) -> None:
        if self._place is not None:
            self._place.cleanup()

    def _check(self) -> None:
        self._ask_model()
        found, pictures = self._gathered()
        if len(found) > MOST_PICTURES:
            raise SettingsError(
                f"There are {len(found)} pictures, and at most {MOST_PICTURES} are checked at a time; check a part of "
                "them."
            )
        self._be("looking")
        with self._changed:
            self._total = 3 * len(found)
        measured = self._measured(found)
        self._publish(measured, None, pictures)
        clip = self._seen_by_clip(measured)
        for sentence in remarks_on(len(measured), clip):
            self._remark(sentence)
        self._publish(measured, clip, pictures)
        if self._model is not None and self.request.round_trips:
            self._make_round_trips(self._model, measured, clip, pictures)

    def _ask_model(self) -> None:
        """Find out the size that is trained, from the settings or the model."""
        settings = self.request.settings
        try:
            self._model = self._host.model()
        except PseudowordError as problem:
            size = settings.size or SIZE_WITHOUT_MODEL
            reason = f"The pictures are checked for {size} pixels, and without the VAE: {problem}"
            with self._changed:
                self._size = size
            self._remark(reason)
            return
        with self._changed:
            self._size = settings.size or self._model.native_size
        self._latent_factor = self._model.latent_factor

    def _gathered(self) -> tuple[list[Path], Mapping[Path, Path]]:
        """The files to look at, and the files that were given for them."""
        given = self.request.pictures
        if not self.request.uploaded:
            found = files_at(given)
            return found, dict(zip(found, found, strict=True))
        assert self._place is not None
        copies = copies_of(given, Path(self._place.name) / "set")
        return files_at(Path(self._place.name) / "set"), copies

    def _measured(self, found: Sequence[Path]) -> list[Measured]:
        """The figures of all pictures that training would use; those it would pass over are noted."""
        settings, seen = self.request.settings, dict[bytes, Path]()
        side = SHOWN_SIDE if len(found) <= MANY else SHOWN_SIDE_OF_MANY
        measured = []
        for path in found:
            self._go_on()
            try:
                picture = look_at(path, settings, seen)
                decoded = decode_picture(path)
            except DatasetError as problem:
                self._skip(Skipped(path, str(problem).rstrip(".")))
                continue
            if (small := picture.too_small_for(self._size)) is not None:
                self._skip(small)
                continue
            pixels, _ = trained_pixels(decoded, settings, *self._trained_for)
            one = measure(picture, decoded, settings, *self._trained_for)
            measured.append(one)
            with self._changed:
                self._originals.append(png_bytes(shown(as_picture(pixels), side)))
                self._count(1)
        if not measured:
            PictureSet((), ()).without(self._skipped)  # which says why
        return measured

    def _skip(self, skip: Skipped) -> None:
        with self._changed:
            self._skipped.append(skip)
            self._count(3)

    def _seen_by_clip(self, measured: Sequence[Measured]) -> SeenByClip | None:
        """What CLIP says of the pictures; None, with a remark, where there is none to ask."""
        pictures = [one.picture for one in measured]
        try:
            seen, title, remark = self._clip.look(self.request.clip, pictures, self._model, self._go_on)
        except PseudowordError as problem:
            self._remark(f"Nothing is said about which pictures belong, about duplicates and captions: {problem}")
            return None
        self._remark(remark)
        with self._changed:
            self._clip_title = title
        return seen

    def _make_round_trips(
        self, model: DiffusionModel, measured: list[Measured], clip: SeenByClip | None, sources: Mapping[Path, Path]
    ) -> None:
        self._be("round trips")
        with self._changed:
            self._done = self._total - len(measured)
        side = SHOWN_SIDE if len(measured) <= MANY else SHOWN_SIDE_OF_MANY
        for place, one in enumerate(measured):
            try:
                decoded = decode_picture(one.picture.path)
                made = self._round_trip(model, *trained_pixels(decoded, self.request.settings, *self._trained_for))
            except PseudowordError as problem:  # another checkpoint was chosen, or the file is gone
                self._remark(f"Not all pictures went through the VAE: {problem}")
                return
            measured[place] = replace(one, psnr=made.psnr)
            with self._changed:
                self._round_trips[place] = png_bytes(shown(made.picture, side))
                self._count(1)
            self._publish(measured, clip, sources)

    def _round_trip(self, model: DiffusionModel, pixels: Tensor, mask: Tensor) -> RoundTrip:
        with self._slices.one():
            self._slices.between_passes()
            return round_trip(model, pixels, mask, self._slices.between_passes)

    @property
    def _trained_for(self) -> tuple[int, int]:
        return self._size, self._latent_factor

    def _publish(self, measured: Sequence[Measured], clip: SeenByClip | None, sources: Mapping[Path, Path]) -> None:
        checked = check_set(measured, clip)
        with self._changed:
            self._checked = checked
            self._sources = [sources[one.picture.path] for one in measured]

    def _borrowed(self) -> AbstractContextManager[None]:
        assert self._model is not None
        return self._model.borrowed()

    def _remark(self, sentence: str) -> None:
        with self._changed:
            self._remarks.append(sentence)


def shown(picture: Image.Image, side: int) -> Image.Image:
    """`picture` as the page shows it: at most `side` pixels along each side; small ones enlarged, pixels to squares."""
    longest = max(picture.size)
    return resized(picture, side / longest if longest > side else max(1, side // 2 // longest))
