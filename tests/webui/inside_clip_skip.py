"""Run by the WebUI's own Python in its own process: what prompts become with chosen layers, against the WebUI's own.

The job is that of `inside_encoders`. Each `check_…` is a test with each checkpoint; `test_clip_skip_encoding`
tells them.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
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
from modules import extra_networks, processing, script_callbacks, sd_models, shared  # noqa: E402
from torch import Tensor, nn  # noqa: E402

sys.path[:0] = [JOB["root"]]

from pseudoword.errors import SettingsError  # noqa: E402
from pseudoword.hosts.webui.text_encoders import text_encoders_of  # noqa: E402
from pseudoword.text.layer_choice import EncoderLayers, one_layer, parse_layers  # noqa: E402
from pseudoword.webui.clip_skip_encoding import ENCODE, check_layers, reading_with  # noqa: E402
from pseudoword.webui.clip_skip_network import add_clip_skip  # noqa: E402
from tests.webui.inside_checkpoints import load, make_checkpoint, net  # noqa: E402

CHECKPOINTS = ["pseudoword-mini", "random-sd2", "random-sdxl", "random-refiner"]
LONG = ", ".join(f"a (red:1.3) cat number {number} in the snow" for number in range(20))
PROMPTS = ["", "a photo of a cat", LONG, "a cat BREAK a dog"]
problems: dict[str, dict[str, str]] = {}


def main() -> None:
    """Call every check with each checkpoint."""
    script_callbacks.before_ui_callback()
    add_clip_skip()
    for seed, name in enumerate(CHECKPOINTS[1:]):
        make_checkpoint(name, JOB["clip"], JOB["open_clip"], seed)
    sd_models.list_models()
    for name in CHECKPOINTS:
        load(name)
        for check, function in list(globals().items()):
            if check.startswith("check_") and function is not check_layers:
                problems.setdefault(name, {})[check] = problem_of(function)
    Path(JOB["result"]).write_text(json.dumps(problems), encoding="utf-8")
    os._exit(0)  # the WebUI leaves threads that never end


def problem_of(check: Any) -> str:
    """What `check` complains of."""
    try:
        with torch.no_grad():
            check()
        return ""
    except Exception:
        return traceback.format_exc()


def conds(prompt: str, layers: EncoderLayers | None = None) -> dict[str, Tensor]:
    """What the UNet is told of a prompt, by what it is: `crossattn`, and SDXL's `vector`, in which the pooled is."""
    if layers is None:
        answer = net().get_learned_conditioning([prompt])
    else:
        with reading_with(net(), layers):
            answer = net().get_learned_conditioning([prompt])
    told: dict[str, Tensor] = answer if isinstance(answer, dict) else {"crossattn": answer}
    return told


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    """To the bit."""
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@contextmanager
def setting(**values: Any) -> Iterator[None]:
    """The WebUI's settings are these meanwhile."""
    before = {name: getattr(shared.opts, name) for name in values}
    try:
        shared.opts.data.update(values)
        yield
    finally:
        shared.opts.data.update(before)


def layer_count() -> int:
    """Of the encoder that has fewest."""
    return min(encoder.layer_count for encoder in text_encoders_of(net()))


def conditioners() -> list[Any]:
    """The WebUI's wrappers around text encoders."""
    stage = net().cond_stage_model
    return [one for one in getattr(stage, "embedders", [stage]) if hasattr(one, "wrapped")]


# ---- the same bits as the WebUI's ------------------------------------------------------------------------------------


def check_layer_1_is_what_the_webui_does() -> None:
    with setting(CLIP_stop_at_last_layers=1):
        for prompt in PROMPTS:
            assert same(conds(prompt, one_layer(1)), conds(prompt)), prompt


def check_each_layer_is_the_webui_s_where_it_has_it() -> None:
    """For SD 1 it counts as we do; for SDXL's CLIP-L from the very last, which SDXL was not made with."""
    if net().is_sd1:
        for skip in range(1, layer_count() + 1):
            for prompt in PROMPTS:
                with setting(CLIP_stop_at_last_layers=skip):
                    theirs = conds(prompt)
                assert same(conds(prompt, one_layer(skip)), theirs), (skip, prompt)
    elif len(conditioners()) == 2:
        for skip in range(1, layer_count() + 1):
            with setting(CLIP_stop_at_last_layers=skip + 1, sdxl_clip_l_skip=True):
                theirs = conds(PROMPTS[1])
            assert same(conds(PROMPTS[1], parse_layers(f"{skip}/1")), theirs), skip


def check_the_real_layer_of_open_clip_is_read() -> None:
    """The WebUI has no setting for it; a model that was made with another layer is what it comes to."""
    wrapped = conditioners()[-1].wrapped
    if hasattr(wrapped, "model") and net().is_sd2:
        at_first = wrapped.layer_idx
        for skip in range(1, layer_count() + 1):
            ours = conds(PROMPTS[1], one_layer(skip))
            wrapped.layer_idx = at_first + skip - 1
            theirs = conds(PROMPTS[1])
            wrapped.layer_idx = at_first
            assert same(ours, theirs), skip


def check_all_layers_differ() -> None:
    found = [conds(PROMPTS[1], one_layer(skip))["crossattn"] for skip in range(1, layer_count() + 1)]
    assert not [1 for one, other in zip(found, found[1:], strict=False) if torch.equal(one, other)]


def check_pooled_and_the_other_encoder_are_untouched() -> None:
    if net().is_sdxl:
        plain, ours = conds(PROMPTS[1]), conds(PROMPTS[1], one_layer(2))
        assert torch.equal(plain["vector"], ours["vector"]) and not torch.equal(plain["crossattn"], ours["crossattn"])
    if len(conditioners()) == 2:
        width = net().conditioner.embedders[0].wrapped.transformer.config.hidden_size
        for layers, is_l, is_g in (("2/1", False, True), ("1/2", True, False)):
            ours = conds(PROMPTS[1], parse_layers(layers))
            l_and_g = [ours["crossattn"][..., :width], ours["crossattn"][..., width:]]
            theirs = [plain["crossattn"][..., :width], plain["crossattn"][..., width:]]
            assert [torch.equal(one, other) for one, other in zip(l_and_g, theirs, strict=True)] == [is_l, is_g]


# ---- blends ----------------------------------------------------------------------------------------------------------


def check_a_blend_is_the_layers_weighed() -> None:
    for prompt in (PROMPTS[1], "a cat BREAK a dog"):
        one, two = (conds(prompt, one_layer(skip))["crossattn"].float() for skip in (1, 2))
        blend = conds(prompt, parse_layers("1=0.25,2=0.75"))["crossattn"].float()
        assert torch.allclose(blend, 0.25 * one + 0.75 * two, atol=1e-5), (blend - 0.25 * one - 0.75 * two).abs().max()


def check_a_blend_costs_one_pass() -> None:
    def blocks(wrapped: Any) -> nn.ModuleList:
        clip = getattr(wrapped, "transformer", None)
        return clip.text_model.encoder.layers if clip is not None else wrapped.model.transformer.resblocks

    passes: list[int] = []
    hooks = [blocks(one.wrapped)[0].register_forward_hook(lambda *_: passes.append(1)) for one in conditioners()]
    try:
        conds(PROMPTS[1], parse_layers("1=0.2,2=0.3,3=0.5"))
    finally:
        for hook in hooks:
            hook.remove()
    assert len(passes) == len(conditioners()), passes


# ---- nothing is left behind ------------------------------------------------------------------------------------------


def traces() -> list[str]:
    """What there is on the model's objects that the WebUI did not put there."""
    hooked = [name for name, part in net().cond_stage_model.named_modules() if part._forward_hooks]
    return hooked + [ENCODE for one in conditioners() if ENCODE in vars(one)]


def check_nothing_is_left_behind_after_an_exception_either() -> None:
    before = conds(PROMPTS[1])
    tower = conditioners()[-1].wrapped
    broken = next(part for part in tower.modules() if isinstance(part, nn.MultiheadAttention | nn.LayerNorm))
    hook = broken.register_forward_pre_hook(lambda *_: 1 / 0)
    try:
        conds(PROMPTS[1], parse_layers("1=0.5,2=0.5"))
        raise AssertionError("it did not fail")
    except ZeroDivisionError:
        pass
    finally:
        hook.remove()
    assert traces() == [] and same(conds(PROMPTS[1]), before)


def check_layers_that_are_not_there_are_told() -> None:
    for layers in (one_layer(99), parse_layers("1=0.5,40=0.5"), one_layer(layer_count() + 30)):
        try:
            check_layers(net(), layers)
        except SettingsError as problem:
            assert "asks for a layer that" in str(problem) and "choose 1 to" in str(problem)
        else:
            raise AssertionError(layers)
    check_layers(net(), one_layer(layer_count()))


# ---- a whole generation's prompts ------------------------------------------------------------------------------------


def generation(prompt: str | list[str], negative: str = "") -> Any:
    """One whose prompts the WebUI has taken apart, without scripts: as another extension may make it."""
    p = processing.StableDiffusionProcessingTxt2Img(
        prompt=prompt, negative_prompt=negative, width=64, height=64, steps=4, sampler_name="Euler a", batch_size=2
    )
    p.setup_prompts()
    p.prompts, p.negative_prompts = p.all_prompts[:2], p.all_negative_prompts[:2]
    p.parse_extra_network_prompts()
    extra_networks.activate(p, p.extra_network_data)
    p.setup_conds()
    return p


def check_each_prompt_of_a_batch_is_read_with_its_own_layer() -> None:
    several = generation(["a cat <clipskip:2>", "a cat <clipskip:1>"], "blurry")
    alone = [generation(f"a cat <clipskip:{skip}>", "blurry") for skip in (2, 1)]
    for at, one in enumerate(alone):
        ours, theirs = several.c.batch[at][0].schedules[0].cond, one.c.batch[0][0].schedules[0].cond
        assert same(as_dict(ours), as_dict(theirs))
        assert same(as_dict(several.uc[at][0].cond), as_dict(one.uc[0][0].cond))
    assert not same(as_dict(several.uc[0][0].cond), as_dict(several.uc[1][0].cond))


def as_dict(cond: Any) -> dict[str, Tensor]:
    told: dict[str, Tensor] = cond if isinstance(cond, dict) else {"crossattn": cond}
    return told


def check_prompts_that_change_on_the_way_and_are_combined() -> None:
    prompt = "a [cat:dog:0.5] AND a (house:1.2) <clipskip:2>"
    ours = generation(prompt).c.batch[0]
    for part, texts in zip(ours, (["a cat ", "a dog "], ["a (house:1.2) "]), strict=True):
        assert len(part.schedules) == len(texts)
        for schedule, text in zip(part.schedules, texts, strict=True):
            assert torch.allclose(
                as_dict(schedule.cond)["crossattn"].float(),
                conds(text, one_layer(2))["crossattn"][0].float(),
                atol=1e-4,
            ), text


def check_an_empty_negative_prompt_stays_what_it_is() -> None:
    empty, tagged = generation("a cat", ""), generation("a cat", "<clipskip:1>")
    assert same(as_dict(empty.uc[0][0].cond), as_dict(tagged.uc[0][0].cond))


def check_the_webui_s_cache_gives_nothing_stale() -> None:
    found = []
    for prompt in ("a cat", "a cat <clipskip:3>", "a cat <clipskip:2>", "a cat <clipskip:3>", "a cat"):
        found.append(as_dict(generation(prompt).c.batch[0][0].schedules[0].cond))
    assert same(found[0], found[4]) and same(found[1], found[3]) and not same(found[1], found[2])
    first = generation("a cat <clipskip:3>").c
    assert generation("a cat <clipskip:3>").c is first, "what is the same is not encoded again"


if __name__ == "__main__":
    main()
