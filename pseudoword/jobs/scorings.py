"""All that a host scores pictures with: the jobs, and the models that are fetched for them."""

from __future__ import annotations

from tempfile import TemporaryDirectory

from .clip_downloads import ClipDownloads
from .host import Host
from .kept_jobs import KeptJobs
from .picture_search import PictureSearch
from .score_job import ScoreJob
from .score_request import ScoreRequest, check
from .turns import Turns

MOST_UNDER_WAY, MOST_ENDED = 8, 16
MOST_BYTES = 200_000_000  # of those that have ended
BUSY = f"{MOST_UNDER_WAY} people have pictures scored already; wait, or cancel one of yours."
GONE = "These scores are no longer kept; score the pictures again."


class Scorings:
    """Scores pictures on `host`, for one who asks after the other, and keeps the latest; each is found by its id."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.downloads = ClipDownloads(host.clips)
        self.search = PictureSearch(host)
        self._turns = Turns()
        self._kept: KeptJobs[ScoreJob] = KeptJobs(MOST_UNDER_WAY, MOST_ENDED, MOST_BYTES, BUSY, GONE)

    def start(self, request: ScoreRequest, place: TemporaryDirectory[str] | None = None) -> ScoreJob:
        """Begin to score; `place` is a folder of uploads that the job is to remove in the end.

        Raises SettingsError for what cannot be scored so, and where too many wait already.
        """
        check(request, self.host)
        return self._kept.begin(lambda id: ScoreJob(id, request, self.host, self._turns, place))

    def job(self, id: str) -> ScoreJob:
        """The job called `id`. Raises SettingsError where there is none, or none any more."""
        return self._kept.job(id)

    def end(self) -> None:
        """Cancel what is under way and wait for its end: a program that ends in the middle of a pass crashes."""
        self._kept.end()
        self.search.end()
