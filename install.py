"""Called by the WebUI at each start: everything that Pseudoword needs is in the WebUI already, so nothing is installed.

Where a package is missing all the same, as in programs that only resemble the WebUI, it is added without changing the
version of any other. --skip-install keeps the WebUI from calling this at all.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

NEEDED = {  # module: package; torch and gradio are the WebUI's own affair
    "open_clip": "open-clip-torch",
    "PIL": "pillow",
    "safetensors": "safetensors",
    "tokenizers": "tokenizers",
    "transformers": "transformers",
}


def missing() -> list[str]:
    """The packages that have to be added."""
    return [package for module, package in NEEDED.items() if find_spec(module) is None]


def install(packages: list[str]) -> None:
    """Add `packages` while every other keeps the version it has."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "installed.txt"
        pins.write_text("\n".join(sorted(f"{d.metadata['Name']}=={d.version}" for d in distributions())))
        print(f"Pseudoword: installing {', '.join(packages)}, which this WebUI does not have")
        command = [sys.executable, "-m", "pip", "install", "--prefer-binary", "--constraint", str(pins), *packages]
        if subprocess.run(command).returncode:
            print(
                f"Pseudoword: {', '.join(packages)} could not be installed without changing other packages; "
                "install it by hand in the WebUI's environment, or remove the extension.",
                file=sys.stderr,
            )


if __name__ == "__main__" and (packages := missing()):
    install(packages)
