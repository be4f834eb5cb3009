"""Run by the WebUI's own Python in its own process: makes the checkpoints that the job names."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

JOB = json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8"))
sys.argv.append("--skip-load-model-at-start")
sys.path[:0] = [os.environ["PSEUDOWORD_WEBUI_DIR"]]

from modules import initialize  # noqa: E402 - the WebUI must be found first

initialize.imports()
initialize.check_versions()
initialize.initialize()

sys.path[:0] = [JOB["root"]]

from tests.webui.inside_checkpoints import make_checkpoint  # noqa: E402

for seed, name in enumerate(JOB["names"]):
    make_checkpoint(name, JOB["clip"], JOB["open_clip"], seed)
Path(JOB["result"]).write_text("[]", encoding="utf-8")
os._exit(0)  # the WebUI leaves threads that never end
