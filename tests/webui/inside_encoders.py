"""Run by the WebUI's own Python in its own process: the text encoders of what it loads, against what it does itself.

The job names the `clip` folder (tokenizer and configuration of transformers) and the `open_clip` architecture that
checkpoints with random weights are made of. Each `check_…` is a test of each of them; `test_encoders` tells them.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

JOB = json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8"))
sys.argv.append("--skip-load-model-at-start")
sys.path[:0] = [os.environ["PSEUDOWORD_WEBUI_DIR"]]

from modules import initialize  # noqa: E402 - the WebUI must be found first

initialize.imports()
initialize.check_versions()
initialize.initialize()

import torch  # noqa: E402
from modules import script_callbacks, sd_hijack, sd_models  # noqa: E402
from modules.textual_inversion.textual_inversion import Embedding  # noqa: E402
from torch import Tensor  # noqa: E402

sys.path[:0] = [JOB["root"]]

from pseudoword.diffusion import LoadedEncoders  # noqa: E402
from pseudoword.hosts.vocabularies import read_vocabularies  # noqa: E402
from pseudoword.hosts.webui.loaded_encoders import loaded_encoders  # noqa: E402
from pseudoword.text import chunk_prompt  # noqa: E402
from pseudoword.text.prompts import encode_chunks, pool_chunks  # noqa: E402
from tests.webui.inside_checkpoints import load, make_checkpoint, net  # noqa: E402

BUILTIN = "pseudoword-mini"
# The text encoders of each checkpoint, in the WebUI's order, and what the architecture is called.
CHECKPOINTS = {
    BUILTIN: ("sd1", ["clip_l"]),
    "random-sd2": ("sd2", ["open_clip_h"]),
    "random-sdxl": ("sdxl", ["clip_l", "clip_g"]),
    "other-sdxl": ("sdxl", ["clip_l", "clip_g"]),
    "random-refiner": ("sdxl", ["clip_g"]),
}
PROMPTS = ["", "a photo of a cat", ", ".join(f"a red cat number {number} in the snow" for number in range(20))]
problems: dict[str, dict[str, str]] = {}
identities: dict[str, str] = {}


def main() -> None:
    """Call every check, first with nothing loaded, then with each checkpoint."""
    script_callbacks.before_ui_callback()
    for name in CHECKPOINTS:
        if name != BUILTIN:
            make_checkpoint(name, JOB["clip"], JOB["open_clip"], seed=list(CHECKPOINTS).index(name))
    sd_models.list_models()
    note("nothing", "check_nothing_is_loaded", check_nothing_is_loaded)
    for name in [*CHECKPOINTS, "random-sdxl"]:  # the last one again
        load(name)
        for check, function in list(globals().items()):
            if check.startswith("check_") and function is not check_nothing_is_loaded:
                note(name, check, function)
    Path(JOB["result"]).write_text(json.dumps(problems), encoding="utf-8")
    os._exit(0)  # the WebUI leaves threads that never end


def note(checkpoint: str, name: str, check: Any) -> None:
    """Call `check` and keep what it complains of."""
    try:
        with torch.no_grad():
            check()
        problem = ""
    except Exception:
        problem = traceback.format_exc()
    of_checkpoint = problems.setdefault(checkpoint, {})
    of_checkpoint[name] = of_checkpoint.get(name, "") + problem


def now() -> LoadedEncoders:
    """What our host says is loaded."""
    found = loaded_encoders()
    assert found is not None
    return found


# ---- what is loaded ------------------------------------------------------------------------------------------------


def check_nothing_is_loaded() -> None:
    assert loaded_encoders() is None and net() is None, "asking for it must not load it"


def check_it_is_told_what_is_loaded() -> None:
    info = net().sd_checkpoint_info
    architecture, encoders = CHECKPOINTS[info.name_for_extra]
    assert now().architecture == architecture and [encoder.name for encoder in now().encoders] == encoders
    assert now().title == info.name_for_extra
    assert info.filename in now().identity and info.sha256 in now().identity
    identities.setdefault(info.name_for_extra, now().identity)
    assert now().identity == identities[info.name_for_extra], "it was another when it was loaded before"
    assert len(set(identities.values())) == len(identities)


def check_vocabularies_are_those_of_the_file() -> None:
    stored = read_vocabularies(Path(net().sd_checkpoint_info.filename))
    assert list(stored) == [encoder.name for encoder in now().encoders]
    assert all(torch.equal(encoder.vocabulary.float(), stored[encoder.name]) for encoder in now().encoders)


def check_asking_again_makes_nothing_anew() -> None:
    assert now().encoders is now().encoders and now() == now()


def check_it_can_be_asked_for_while_weights_are_replaced() -> None:
    before = now()
    sd_hijack.model_hijack.undo_hijack(net())  # the WebUI's first step
    try:
        assert loaded_encoders() is None
    finally:
        sd_hijack.model_hijack.hijack(net())
    assert now().identity == before.identity
    check_prompts_become_what_the_unet_reads()


# ---- the same numbers as the WebUI's -------------------------------------------------------------------------------


def told(prompt: str) -> list[Tensor]:
    """What the UNet is told of a prompt, (chunks, 77, D) of each text encoder."""
    answer = net().get_learned_conditioning([prompt])
    context = (answer["crossattn"] if isinstance(answer, dict) else answer)[0].float()
    widths = [encoder.vocabulary.shape[1] for encoder in now().encoders]
    return [part.unflatten(0, (-1, 77)) for part in context.split(widths, dim=1)]


def check_prompts_become_what_the_unet_reads() -> None:
    for prompt in PROMPTS:
        for encoder, theirs in zip(now().encoders, told(prompt), strict=True):
            chunks = chunk_prompt(prompt, encoder.tokenizer, {})
            assert torch.equal(encode_chunks(encoder, chunks, {}, 1), theirs), (encoder.name, prompt)


def check_whole_prompts_become_what_the_unet_is_told() -> None:
    for prompt in PROMPTS:
        answer = net().get_learned_conditioning([prompt])
        for encoder in now().encoders:
            pooled = pool_chunks(encoder, chunk_prompt(prompt, encoder.tokenizer, {})[:1], {})
            if encoder.name == "clip_g":
                assert pooled is not None and torch.equal(pooled, answer["vector"][:, : pooled.shape[1]].float())
            else:
                assert pooled is None


def check_a_word_stands_where_the_webui_puts_an_embedding() -> None:
    random = torch.Generator().manual_seed(2)
    vectors = {e.name: torch.randn((3, e.vocabulary.shape[1]), generator=random) * 0.1 for e in now().encoders}
    several = now().architecture == "sdxl"
    embedding = Embedding(vectors if several else next(iter(vectors.values())), "zxqv")
    embedding.vectors = 3
    database, prompt = sd_hijack.model_hijack.embedding_db, "a photo of zxqv, on a table"
    database.register_embedding(embedding, net())
    try:
        for encoder, theirs in zip(now().encoders, told(prompt), strict=True):
            chunks = chunk_prompt(prompt, encoder.tokenizer, {"zxqv": 3})
            ours = encode_chunks(encoder, chunks, {"zxqv": vectors[encoder.name]}, 1)
            assert torch.equal(ours, theirs), encoder.name
    finally:
        database.register_embedding_by_name(None, net(), "zxqv")


def check_layers_are_counted_to_the_one_that_the_unet_reads() -> None:
    for encoder in now().encoders:
        (chunk,) = chunk_prompt("a photo of a cat", encoder.tokenizer, {})
        ids = torch.tensor([chunk.token_ids])
        skips = range(1, encoder.layer_count + 1)
        layers = encoder.encode_layers(ids, encoder.vocabulary[ids], skips)
        assert torch.equal(layers[0], encoder.encode(ids, encoder.vocabulary[ids]))
        assert len(layers) == encoder.layer_count and layers.isfinite().all()


if __name__ == "__main__":
    main()
