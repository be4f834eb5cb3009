"""Sets everything up and runs it: `python run.py demo`, `python run.py test`, or any other command of pseudoword.

This file only checks the Python that runs it, so it must stay readable for very old ones; the rest is in tools/launch.
"""

import sys

if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(
        "run.py: this is Python %d.%d and Pseudoword needs Python 3.10, 3.11, 3.12 or 3.13; "
        "call run.py with one of those, for example: python3.12 run.py demo" % sys.version_info[:2]
    )

from tools.launch.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
