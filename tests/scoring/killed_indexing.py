"""Indexes that are killed with SIGKILL while they are made: python -m tests.scoring.killed_indexing FOLDER

Each is made in a process of its own that is forked from this one, since importing torch takes longer than the work.
Prints one line of JSON: how each ended, and how many rows had a feature that is not their picture's.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from pseudoword.scoring import ClipScorer, FeatureCache, folder_features, index_update
from pseudoword.scoring.index_codes import codes_of
from pseudoword.scoring.index_shards import ROWS
from pseudoword.scoring.index_update import bring_up_to_date
from pseudoword.scoring.picture_index import PictureIndex
from tests.scoring.pictures import clip_folder, fill

PICTURES, KILLED = 150, 15
LONGEST_S = 0.8
NEAR = 1e-3  # what 16 bits, and other pictures in the same batch, change of a feature; two pictures' are farther apart


def bring(folder: Path, scorer: ClipScorer) -> None:
    """Bring the index up to date, and write after every few pictures."""
    index_update.WRITTEN_AFTER_S = 0
    with PictureIndex(folder / "index", scorer.identity, scorer.width) as index:
        for _ in bring_up_to_date(index, [str(folder / "pictures")], scorer.alone, None, 4, 1):
            pass


def wrong_rows(folder: Path, scorer: ClipScorer, known: dict[str, torch.Tensor]) -> tuple[int, int]:
    """How many rows there are, and how many have a feature, or codes, that are not those of their picture."""
    count = wrong = 0
    with PictureIndex(folder / "index", scorer.identity, scorer.width) as index:
        for slot in range(2 * PICTURES):
            row, feature = index.row(slot), index.feature(slot)
            if row is None or feature is None:
                continue
            count += 1
            codes, _ = codes_of(feature[None])
            kept = index._shards[slot // ROWS].codes[slot % ROWS].int()
            is_same = float((feature - known[row.file.path]).abs().max()) < NEAR
            is_right = is_same and int((kept - codes[0].int()).abs().max()) <= 1
            wrong += not is_right
    return count, wrong


def main(folder: Path) -> None:
    """See above."""
    clip = clip_folder(folder)
    scorer = ClipScorer.load(clip / "open_clip_config.json", clip / "open_clip_model.safetensors")
    torch.set_num_threads(1)
    for path in fill(folder / "pictures", PICTURES):
        os.utime(path, (1e9, 1e9))
    paths = sorted(str(path) for path in (folder / "pictures").rglob("*.png"))
    with FeatureCache(None, scorer.identity) as nothing:
        portions = list(folder_features(paths, scorer, nothing, 1))
    known = {path: one for portion in portions for path, one in zip(portion.paths, portion.features, strict=True)}
    every = torch.stack(list(known.values()))
    assert min((every - one).abs().amax(dim=1).sort().values[1] for one in every) > 5 * NEAR
    numbers = random.Random(0)
    ends, counts, wrong = [], [], 0
    for _ in range(KILLED):
        child = os.fork()
        if not child:
            bring(folder, scorer)
            os._exit(0)
        time.sleep(numbers.random() * LONGEST_S)
        os.kill(child, signal.SIGKILL)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        count, mistakes = wrong_rows(folder, scorer, known)
        counts.append(count)
        wrong += mistakes
        for changed in numbers.sample(paths, 20):  # so that slots become free and are used again
            os.utime(changed, (1e9 + numbers.random() * 1e6,) * 2)
    bring(folder, scorer)
    count, mistakes = wrong_rows(folder, scorer, known)
    told = {"ends": ends, "kept by the killed": max(counts), "wrong": wrong + mistakes, "pictures": PICTURES}
    print(json.dumps({**told, "found at the end": count}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
