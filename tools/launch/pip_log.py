"""One sentence from a failed installation's log: what failed and what to do."""

from __future__ import annotations

import re

from .environment import DISK_SPACE

# In this order: a full disk or a dead network makes pip also complain of packages that it cannot find.
CAUSES = (
    (
        r"No space left on device|not enough space on the disk|Errno 28|os error 112",
        f"the disk is full; free {DISK_SPACE} where this folder and the folder for temporary files are",
    ),
    (
        r"ensurepip is not available|No module named '?(ensurepip|venv|pip)'?",
        "this Python cannot make virtual environments; install its venv package (on Debian and Ubuntu: "
        "apt install python3-venv) or use the installer from python.org",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "a package is not the one that the lock file names, so it was not installed; try again",
    ),
    (
        r"name resolution|getaddrinfo failed|nodename nor servname|Failed to establish a new connection|"
        r"NewConnectionError|NameResolutionError|Network is unreachable|Connection(Reset|Refused|Aborted)?Error|"
        r"Connection broken|ConnectTimeout|[Rr]ead timed out|ReadTimeout|ProxyError|SSLError|CERTIFICATE_VERIFY_FAILED",
        "the package index could not be reached; check the network, or the proxy that pip is told to use",
    ),
    (r"Permission denied|PermissionError|Access is denied", "a file may not be written; check who owns this folder"),
)


def explain(log: str, exit_code: int) -> str:
    """What made an installation end with `exit_code`, judged by the text that it printed."""
    for pattern, sentence in CAUSES:
        if re.search(pattern, log):
            return sentence
    if missing := re.search(r"No matching distribution found for (\S+)", log):
        return f"there is no {missing[1]} for this Python and operating system; see the README for those that work"
    if exit_code < 0:
        return f"the installer was ended by signal {-exit_code}; if memory was short, close other programs"
    errors = re.findall(r"^ERROR: (.+)$", log, re.MULTILINE)
    return errors[-1].rstrip(".") if errors else f"the installer ended with code {exit_code}"
