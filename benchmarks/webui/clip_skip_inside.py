"""Run by the WebUI's own Python in its own process: how long prompts take to be encoded with layers of the panel.

The job, a JSON file, says how many `rounds` there are. The text encoder is as large as Stable Diffusion 1.5's, with
random weights. The answer has a dictionary for each round: seconds that this process computed for, by way.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

job: dict[str, Any] = json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8"))
sys.path[0] = os.environ["PSEUDOWORD_WEBUI_DIR"]

from modules import initialize  # noqa: E402 - the WebUI must be found first

initialize.imports()
initialize.check_versions()
initialize.initialize()

import torch  # noqa: E402
from modules import sd_hijack, shared  # noqa: E402
from transformers import CLIPTextConfig, CLIPTextModel  # noqa: E402

sys.path.append(job["root"])

from pseudoword.text.layer_choice import parse_layers  # noqa: E402
from pseudoword.webui.clip_skip_encoding import reading_with  # noqa: E402

SETTING = "WebUI, "
PROMPTS = ["a photo of a (red:1.2) cat in the snow, oil painting"]
AS_LARGE_AS_SD1 = {"vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "hidden_act": "quick_gelu"}
DEPTH = {"num_hidden_layers": 12, "num_attention_heads": 12, "max_position_embeddings": 77, "projection_dim": 768}
PASSES = 2  # for one time


def main() -> None:
    """Every way once in each round, in turn from another one on."""
    net = shared.sd_model  # waits until it is loaded
    tower = CLIPTextModel(CLIPTextConfig(**AS_LARGE_AS_SD1, **DEPTH)).eval().requires_grad_(False)
    embeddings = tower.text_model.embeddings
    embeddings.token_embedding = sd_hijack.EmbeddingsWithFixes(embeddings.token_embedding, sd_hijack.model_hijack)
    net.cond_stage_model.wrapped.transformer = tower
    ways: list[str] = job["ways"]
    rounds = []
    for number in range(-1, job["rounds"]):  # the first is warming up
        first = number % len(ways)
        times = {way: seconds(net, way) for way in [*ways[first:], *ways[:first]]}
        rounds += [times] if number >= 0 else []
    Path(job["result"]).write_text(json.dumps(rounds), encoding="utf-8")
    os._exit(0)  # the WebUI leaves threads that never end


def seconds(net: Any, way: str) -> float:
    """What encoding takes with the WebUI's own setting, or with layers of ours."""
    is_own = way.startswith(SETTING)
    shared.opts.data["CLIP_stop_at_last_layers"] = int(way[len(SETTING) :]) if is_own else 1
    began = time.process_time()
    for _ in range(PASSES):
        with torch.no_grad(), nullcontext() if is_own else reading_with(net, parse_layers(way)):
            net.get_learned_conditioning(PROMPTS)
    return time.process_time() - began


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
