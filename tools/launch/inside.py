"""The first thing to run inside an environment: `python inside.py MODULE ARGUMENTS…` is `python -m MODULE ARGUMENTS…`,

but the project's folder is importable from wherever one stands, and Ctrl-C ends with exit code 130 and no traceback,
also while modules are still being imported.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from types import FrameType

interrupted = False


def note_interruption(signal_number: int, frame: FrameType | None) -> None:
    """Remember the Ctrl-C, because a program may turn it into an exit code of its own, as pytest does."""
    global interrupted
    interrupted = True
    signal.default_int_handler(signal_number, frame)


def main() -> None:
    # Nothing to note where Ctrl-C is ignored, as in a shell's background job.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, note_interruption)
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    del sys.argv[0]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as end:
        if interrupted and end.code:
            sys.exit(130)
        raise


if __name__ == "__main__":
    main()
