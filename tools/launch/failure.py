"""The one kind of error that run.py shows."""


class SetupError(Exception):
    """Something that keeps run.py from setting up; the message is one line that says what failed and what to do."""
