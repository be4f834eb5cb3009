"""The checks of training sets of one host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ...errors import SettingsError
from ...training.captions import BUILT_IN_TEMPLATES, load_templates
from ...training.dataset import files_at
from ..host import Host
from ..kept_jobs import KeptJobs
from ..server.folders import check_may_name, check_pictures_may_be_named
from ..turns import Turns
from .set_check_job import SetCheckJob
from .set_check_request import CheckRequest
from .set_clip import ClipOnSets

MOST_UNDER_WAY, MOST_ENDED = 8, 16
MOST_BYTES = 300_000_000  # of the pictures of those that have ended
BUSY = f"{MOST_UNDER_WAY} sets of pictures are being checked already; wait, or cancel one of yours."
GONE = "What was found is no longer kept; check the pictures again."


class SetChecks:
    """Checks training sets on `host`, for one who asks after the other, and keeps the latest; each has a secret id."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._clip = ClipOnSets(host)
        self._turns = Turns()
        self._kept: KeptJobs[SetCheckJob] = KeptJobs(MOST_UNDER_WAY, MOST_ENDED, MOST_BYTES, BUSY, GONE)

    def start(self, request: CheckRequest, place: TemporaryDirectory[str] | None = None) -> SetCheckJob:
        """Begin to check; `place` is a folder of uploads that the job is to remove in the end.

        Raises SettingsError for places that nobody may name here and where too many checks are under way, DatasetError
        where there are no pictures or the templates cannot be used.
        """
        self._check_places(request)
        load_templates(request.settings.templates)
        files_at(request.pictures)
        self.host.limits.check_files(request.pictures)
        if request.uploaded and place is None:
            place = TemporaryDirectory(prefix="pseudoword-", ignore_cleanup_errors=True)
        return self._kept.begin(lambda id: SetCheckJob(id, request, self.host, self._clip, self._turns, place))

    def job(self, id: str) -> SetCheckJob:
        """The check called `id`. Raises SettingsError where there is none, or none any more."""
        return self._kept.job(id)

    def end(self) -> None:
        """Cancel what is under way and wait for its end: a program that ends in the middle of a pass crashes."""
        self._kept.end()

    def _check_places(self, request: CheckRequest) -> None:
        templates = request.settings.templates
        if templates not in BUILT_IN_TEMPLATES and Path(templates) not in self.host.templates().values():
            check_may_name(self.host, Path(templates))
        if not request.uploaded:
            check_pictures_may_be_named(self.host, request.pictures)


def left_out(job: SetCheckJob, numbers: Sequence[int]) -> frozenset[Path]:
    """The files of the pictures with those `numbers`. Raises SettingsError for numbers that there are not."""
    sources = job.watch().sources
    if not all(0 <= number < len(sources) for number in numbers):
        raise SettingsError("These pictures were not checked; check them again, and choose anew.")
    return frozenset(sources[number] for number in numbers)
