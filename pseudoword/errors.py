"""Every error that a user can cause or mend.

    PseudowordError
    ├── EmbeddingFileError   a file that is not an embedding, is broken, or is unsafe to read
    ├── SettingsError        a setting outside its range, or two that contradict each other
    ├── DatasetError         training pictures or captions that cannot be used
    │   └── IndexUnreadable  an index of pictures that cannot be read just now
    ├── ModelError           a checkpoint that cannot be loaded or does not fit
    ├── TrainingError        a run that cannot start, go on, or be resumed
    ├── JobError             a job that cannot be, or do, what is asked of it now
    │   ├── NoSuchJob        there is none of that name or id
    │   ├── NotYours         it belongs to somebody else
    │   └── LimitReached     more than this server allows
    └── MissingExtra         an optional package that is not installed

Each message is one sentence that names what was found, what was wanted and what to do about it. Panels, the command
line and the API show the message as it is; anything else that escapes is a defect of ours.
"""


class PseudowordError(Exception):
    """Base of all errors whose message is meant for the user."""


class EmbeddingFileError(PseudowordError):
    """A file that is not an embedding, is broken, or is unsafe to read."""


class SettingsError(PseudowordError):
    """A setting outside its range, or two settings that contradict each other."""


class DatasetError(PseudowordError):
    """Training pictures or captions that cannot be used."""


class IndexUnreadable(DatasetError):
    """An index of pictures that cannot be read just now, because its disk or another program is in the way."""


class ModelError(PseudowordError):
    """A checkpoint that cannot be loaded, or an embedding that does not fit it."""


class TrainingError(PseudowordError):
    """A training run that cannot start, go on, or be resumed."""


class JobError(PseudowordError):
    """A job that cannot be, or do, what is asked of it now."""


class NoSuchJob(JobError):
    """There is no job of that name or id."""


class NotYours(JobError):
    """A job that belongs to somebody else."""


class LimitReached(JobError):
    """More than this server allows one person, or all together."""


class MissingExtra(PseudowordError):
    """An optional package that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; install it with: pip install 'pseudoword[{extra}]'")
