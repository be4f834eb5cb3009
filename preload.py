"""The WebUI's command line flags for Pseudoword. Imported before anything else, so it needs nothing."""

from __future__ import annotations

import argparse


def preload(parser: argparse.ArgumentParser) -> None:
    """Add them to the WebUI's `parser`."""
    group = parser.add_argument_group("Pseudoword")
    group.add_argument(
        "--pseudoword-folder",
        action="append",
        metavar="FOLDER",
        help="Pseudoword: a folder whose pictures may be named for training by its path on this computer; may be given "
        "several times (default: any folder, and with --listen or --share the WebUI's outputs only)",
    )
    group.add_argument(
        "--pseudoword-runs",
        metavar="FOLDER",
        help="Pseudoword: where training runs are kept (default: pseudoword/runs beside the WebUI's own data)",
    )
    group.add_argument(
        "--pseudoword-clip",
        nargs=2,
        metavar=("CONFIG", "WEIGHTS"),
        help="Pseudoword: an open_clip model (open_clip_config.json and .safetensors) that finds the start of a word "
        "from its pictures and measures likeness (default: none but for the built-in checkpoint)",
    )
    group.add_argument(
        "--pseudoword-clip-folder",
        action="append",
        metavar="FOLDER",
        help="Pseudoword: a folder with CLIP models (open_clip's configuration and weights) to score pictures "
        "with; may be given several times (default: models/CLIP, and what open_clip has downloaded before)",
    )
    group.add_argument(
        "--pseudoword-admin",
        action="append",
        metavar="NAME",
        help="Pseudoword: somebody with a login who may steer, see and delete everybody's jobs; may be given several "
        "times (default: nobody; who has the computer to himself may do everything)",
    )
    group.add_argument(
        "--pseudoword-limit",
        nargs="+",
        metavar="NAME=NUMBER",
        help="Pseudoword: what is allowed at most: jobs (of one person that have not ended), pictures (of one "
        "training), pixels and bytes (of one picture), steps, disk (bytes of all runs), such as jobs=5 disk=100GB "
        "(default: no limits)",
    )
    group.add_argument(
        "--pseudoword-resume",
        action="store_true",
        help="Pseudoword: after a restart jobs that were under way go on by themselves (default: they are paused)",
    )
    group.add_argument(
        "--pseudoword-cpu-jobs",
        type=int,
        metavar="N",
        help="Pseudoword: how many folders are scored or read for the search at a time, by all people together "
        "(default: 2)",
    )
    group.add_argument(
        "--pseudoword-fetch-urls",
        action="store_true",
        help="Pseudoword: let everybody who uses the page name pictures to score by their address on the internet; "
        "addresses of this computer and of local networks are never asked (default: no picture is fetched)",
    )
