"""`python -m pseudoword` is the command `pseudoword`."""

import sys

from pseudoword.cli import main

if __name__ == "__main__":
    sys.exit(main())
