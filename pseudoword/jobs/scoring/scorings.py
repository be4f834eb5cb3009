"""All that a host scores pictures with: the jobs, and the models that are fetched for them."""

from __future__ import annotations

from dataclasses import replace
from tempfile import TemporaryDirectory

from ..host import Host
from ..job_board import JobBoard
from ..kept_jobs import KeptJobs
from ..queued_jobs import QueuedJobs, cancelled
from ..search.picture_search import PictureSearch
from ..server.people import ALONE, Person
from ..turns import Turns
from ..watched_job import Queued
from .clip_downloads import ClipDownloads
from .folder_scoring import FolderScoring, shown_request, write_request
from .score_job import ScoreJob
from .score_request import ScoreRequest, check

MOST_UNDER_WAY, MOST_ENDED = 8, 16
MOST_BYTES = 200_000_000  # of those that have ended
BUSY = f"{MOST_UNDER_WAY} people have pictures scored already; wait, or cancel one of yours."
GONE = "These scores are no longer kept; score the pictures again."


class Scorings:
    """Scores pictures on `host`, for one who asks after the other, and keeps the latest; each is found by its id.

    Folders, which may be large, are scored by jobs of the queue on `board` where there is one.
    """

    def __init__(self, host: Host, board: JobBoard | None = None) -> None:
        self.host = host
        self.downloads = ClipDownloads(host.clips)
        self.search = PictureSearch(host, board)
        self._turns = Turns()
        self._kept: KeptJobs[ScoreJob] = KeptJobs(MOST_UNDER_WAY, MOST_ENDED, MOST_BYTES, BUSY, GONE)
        self._folders = None
        if board is not None:
            self._folders = QueuedJobs(board, FolderScoring.KIND, self._loaded, "scores")

    def start(
        self, request: ScoreRequest, place: TemporaryDirectory[str] | None = None, person: Person = ALONE
    ) -> ScoreJob:
        """Begin to score; `place` is a folder of uploads that the job is to remove in the end.

        Raises SettingsError for what cannot be scored so, and where too many wait already; for a folder, which `person`
        finds on the list of jobs, also ModelError, JobError and LimitReached.
        """
        check(request, self.host)
        if self._folders is None or request.folder is None:
            return self._kept.begin(lambda id: ScoreJob(id, request, self.host, self._turns, place))
        # By its name: which is the default may be another one after a restart.
        asked = replace(request, model=self.host.clips.named(request.model).name)
        settings = shown_request(asked)
        job = self._folders.start(person, "Scores of a folder", settings, lambda folder: write_request(asked, folder))
        if place is not None:
            place.cleanup()
        return job

    def job(self, id: str) -> ScoreJob:
        """The job called `id`. Raises SettingsError where there is none, or none any more."""
        of_folder = None if self._folders is None else self._folders.find(id)
        return self._kept.job(id) if of_folder is None else of_folder

    def cancelled(self, id: str, person: Person) -> ScoreJob:
        """The job called `id`, which ends soon.

        Raises SettingsError where there is none, NotYours for a folder on the list that somebody else has scored.
        """
        return cancelled(self.job(id), self._folders, person)

    def _loaded(self, id: str, queued: Queued) -> FolderScoring:
        return FolderScoring(id, self.host, queued)

    def end(self) -> None:
        """Cancel what is under way and wait for its end: a program that ends in the middle of a pass crashes."""
        self.downloads.end()
        self._kept.end()
        self.search.end()
