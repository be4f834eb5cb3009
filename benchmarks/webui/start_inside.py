"""Run by the WebUI's own Python in its own process, without a server: what the extension computes at the start.

The job, a JSON file, says where the `extension` is, which this WebUI has not loaded. The answer is in seconds that the
thread computed for, by part; how busy the machine is hardly moves them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

job: dict[str, Any] = json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8"))
sys.path[0] = os.environ["PSEUDOWORD_WEBUI_DIR"]

from modules import initialize  # noqa: E402 - the WebUI must be found first

initialize.imports()
initialize.check_versions()
initialize.initialize()

import fastapi  # noqa: E402
from modules import shared, ui  # noqa: E402

sys.path.append(job["extension"])


def main() -> None:
    """The extension's parts in the order that the WebUI calls them in."""
    assert shared.sd_model is not None  # waits until it is loaded
    import preload

    parser = argparse.ArgumentParser()
    preload.preload(parser)
    vars(shared.cmd_opts).update(vars(parser.parse_args([])), api=True)
    times = [time.thread_time()]
    from pseudoword.webui import registration, settings_page

    times.append(time.thread_time())
    settings_page.add_settings()
    with ui.gr.Blocks():
        with ui.gr.Tabs():
            registration.train_tab(None)
        times.append(time.thread_time())
    app = fastapi.FastAPI()
    began = time.thread_time()
    registration.add_routes(None, app)
    parts = {
        "imports": times[1] - times[0],
        "panel": times[2] - times[1],
        "routes": time.thread_time() - began,
    }
    Path(job["result"]).write_text(json.dumps(parts), encoding="utf-8")
    os._exit(0)  # the WebUI leaves threads that never end


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
