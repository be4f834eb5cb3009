"""Run by the WebUI's own Python in its own process: what our host does there, against what the WebUI does itself.

Each `check_…` is a test; `test_host` tells them. Prints one line of JSON for each: its name, and why it failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [os.environ["PSEUDOWORD_WEBUI_DIR"]]

from modules import initialize  # noqa: E402 - the WebUI must be found first

initialize.imports()
initialize.check_versions()
initialize.initialize()

import networks  # type: ignore[import-not-found]  # noqa: E402 - of the WebUI's LoRA extension
import numpy as np  # noqa: E402
import torch  # noqa: E402
from modules import (  # noqa: E402
    call_queue,
    devices,
    processing,
    prompt_parser,
    script_callbacks,
    sd_hijack,
    sd_models,
    sd_vae,
    shared,
)
from modules.hypernetworks import hypernetwork  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

sys.path[:0] = [str(Path(__file__).parents[2])]

from pseudoword.diffusion import Conditioning  # noqa: E402
from pseudoword.embedding import save_embedding  # noqa: E402
from pseudoword.errors import TrainingError  # noqa: E402
from pseudoword.hosts.webui import model as host_model  # noqa: E402
from pseudoword.hosts.webui.model import WebuiModel  # noqa: E402
from pseudoword.hosts.webui.queue_turns import QueueTurns  # noqa: E402
from pseudoword.text import encode_negative, encode_prompts  # noqa: E402
from pseudoword.text.layer_choice import EncoderLayers  # noqa: E402
from pseudoword.text.layers import LayerBlend  # noqa: E402
from pseudoword.training.vectors import vectors_of_words  # noqa: E402
from tests.hosts.contract import CONTRACT, keeps_gradients_to_the_word  # noqa: E402
from tests.training import small_runs  # noqa: E402
from tests.webui.inside_checkpoints import load, make_checkpoint  # noqa: E402

SMALL_SIDE = 128
LONG = ", ".join(f"a red cat number {number} in the snow" for number in range(20))
PROMPTS = ["", "a photo of a cat", LONG]


def main() -> None:
    """Call every check."""
    script_callbacks.before_ui_callback()  # at which LoRA is registered
    if "MADE_OF" in os.environ:  # a folder of transformers' configuration, and an architecture of open_clip
        for number, name in enumerate(("small-sdxl", "other-sdxl")):
            clip, open_clip = os.environ["MADE_OF"].split("|")
            make_checkpoint(name, clip, open_clip, seed=number)
        sd_models.list_models()
        load("small-sdxl")
        shared.opts.data["live_previews_enable"] = False  # for which the WebUI would fetch a model
        host_model.native_size_of = lambda net, latent_factor: SMALL_SIDE  # in place of 1024, which takes an hour here
    assert net(), "the checkpoint could not be loaded"  # asking for it loads it
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            try:
                check()
                problem = ""
            except Exception:
                problem = traceback.format_exc()
            print("\n" + json.dumps({"check": name, "problem": problem}), flush=True)
    os._exit(0)  # the WebUI leaves threads that never end


def net() -> Any:
    """The WebUI's model."""
    return shared.sd_model


def picture(prompt: str = "a photo of a cat", **changes: Any) -> Any:
    """What txt2img makes of a seed."""
    side = WebuiModel().native_size
    wanted = {"seed": 3, "steps": 4, "width": side, "height": side, "cfg_scale": 5, "sampler_name": "DPM++ 2M"}
    generation = processing.StableDiffusionProcessingTxt2Img(
        sd_model=net(), prompt=prompt, do_not_save_samples=True, do_not_save_grid=True, **(wanted | changes)
    )
    return np.array(processing.process_images(generation).images[0])


def answer(model: WebuiModel) -> Any:
    """The UNet's answer to a fixed question, asked as training asks."""
    side = model.native_size // model.latent_factor
    latents = torch.randn((1, 4, side, side), generator=torch.Generator().manual_seed(1))
    with model.borrowed(), torch.no_grad():
        return model.predict(latents, torch.tensor([400]), encode_prompts(model, ["a photo of a cat"], {}))


def weights() -> dict[str, Any]:
    """A copy of all weights that the UNet and the text encoder have now."""
    return {name: weight.detach().clone() for name, weight in net().named_parameters()}


@contextlib.contextmanager
def chosen(**options: Any) -> Iterator[None]:
    """The WebUI's settings, changed for a while."""
    before = {name: shared.opts.data.get(name, shared.opts.get_default(name)) for name in options}
    shared.opts.data.update(options)
    try:
        yield
    finally:
        shared.opts.data.update(before)


# ---- the same numbers as the WebUI's -------------------------------------------------------------------------------


def check_prompts_are_encoded_to_the_same_bits() -> None:
    model = WebuiModel()
    for prompt in PROMPTS:
        with model.borrowed(), torch.no_grad(), devices.autocast():
            same(encode_prompts(model, [prompt], {}), told([prompt]))


def told(prompts: list[str], **known: Any) -> Any:
    """What the WebUI tells its UNet of `prompts`; `known` is what it knows of the picture besides."""
    return net().get_learned_conditioning(prompt_parser.SdConditioning(prompts, **known))


def same(ours: Conditioning, theirs: Any) -> None:
    """Fail unless they are the same bits."""
    if isinstance(theirs, dict):  # of SDXL; after what is told of the prompt come the sizes
        assert ours.pooled is not None and torch.equal(ours.pooled, theirs["vector"][:, : ours.pooled.shape[1]].float())
    assert torch.equal(ours.context, (theirs["crossattn"] if isinstance(theirs, dict) else theirs).float())


def check_clip_skip_is_the_same_layer() -> None:
    model = WebuiModel()
    if net().is_sd2:  # which the WebUI skips no layer of
        return
    # Of SDXL it skips layers of CLIP-L alone, and counts them from the very last.
    layers = EncoderLayers(LayerBlend(((2, 1.0),)), LayerBlend(((1, 1.0),))) if net().is_sdxl else 3
    with chosen(CLIP_stop_at_last_layers=3, sdxl_clip_l_skip=True), model.borrowed(), torch.no_grad():
        theirs = told(["a photo of a cat"])
    with model.borrowed(), torch.no_grad():
        same(encode_prompts(model, ["a photo of a cat"], {}, layers), theirs)


def check_an_empty_negative_prompt_is_what_the_webui_makes_of_it() -> None:
    model = WebuiModel()
    for prompt in ("", "blurry"):
        with model.borrowed(), torch.no_grad(), devices.autocast():
            same(encode_negative(model, prompt, {}), told([prompt], is_negative_prompt=True))


def check_a_word_stands_where_the_webui_puts_an_embedding() -> None:
    model = WebuiModel()
    random = torch.Generator().manual_seed(2)
    vectors = {e.name: torch.randn((3, e.vocabulary.shape[1]), generator=random) * 0.1 for e in model.text_encoders}
    database = sd_hijack.model_hijack.embedding_db
    from modules.textual_inversion.textual_inversion import Embedding

    embedding = Embedding(vectors if net().is_sdxl else next(iter(vectors.values())), "zxqv")
    embedding.vectors = 3
    database.register_embedding(embedding, net())
    for prompt in ("zxqv", "a photo of zxqv, on a table", f"{LONG} zxqv and zxqv"):
        # A random model's mean may be 0, by which the WebUI's usual emphasis divides.
        with chosen(emphasis="No norm"), model.borrowed(), torch.no_grad():
            same(encode_prompts(model, [prompt], {"zxqv": vectors}), told([prompt]))
    database.register_embedding_by_name(None, net(), "zxqv")


def check_pictures_are_encoded_and_decoded_as_the_webui_does() -> None:
    model = WebuiModel()
    pixels = torch.rand((2, 3, model.native_size, model.native_size), generator=torch.Generator().manual_seed(3))
    with model.borrowed(), torch.no_grad():
        ours = model.encode_images(pixels * 2 - 1)
        if net().is_sdxl:  # whose VAE gives a draw
            torch.manual_seed(4)
            theirs = net().encode_first_stage(pixels * 2 - 1)
            torch.manual_seed(4)
            drawn = ours.mean + ours.deviation * torch.randn(ours.mean.shape)
            assert torch.allclose(drawn, theirs.float(), atol=1e-5)
        else:
            theirs = net().encode_first_stage((pixels * 2 - 1).to(devices.device, devices.dtype_vae)).mode()
            theirs = theirs * net().scale_factor
            assert torch.equal(ours.mean, theirs.float())
        decoded = net().decode_first_stage(theirs[:1]).float().clamp(-1, 1)
        assert torch.allclose(model.decode_latents(theirs[:1]), decoded, atol=1e-6)


def check_the_unet_answers_as_it_does_to_the_webui() -> None:
    model = WebuiModel()
    ours = answer(model)
    side = model.native_size // model.latent_factor
    latents = torch.randn((1, 4, side, side), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        context = told(["a photo of a cat"], width=model.native_size, height=model.native_size)
        picture = processing.txt2img_image_conditioning(net(), latents, model.native_size, model.native_size)
        said = context if net().is_sdxl else {"c_crossattn": [context], "c_concat": [picture]}
        theirs = net().apply_model(latents, torch.tensor([400]), said).float()
    # For inpainting models the WebUI draws anew from what the VAE says of the empty picture.
    tolerance = 0.05 if net().model.conditioning_key == "hybrid" else 1e-4
    assert torch.allclose(ours, theirs, atol=tolerance), (ours - theirs).abs().max()


def check_no_weight_gets_a_gradient() -> None:
    keeps_gradients_to_the_word(WebuiModel())
    assert all(weight.grad is None for weight in net().parameters())


def check_the_contract_of_all_hosts_is_kept() -> None:
    for promise in CONTRACT:
        promise(WebuiModel())


def check_a_word_is_taught_and_the_webui_reads_its_file() -> None:
    # In letters that the tokenizers of both text encoders know: the small CLIP-L has fewer words than CLIP-G.
    folder = Path(tempfile.mkdtemp(dir="."))
    settings = small_runs.settings(name="zxqv", steps=3, size=WebuiModel().native_size, batch=2, preview_every=0)
    model = WebuiModel()
    run = small_runs.run_in(folder, model, settings)
    with model.borrowed():
        for _ in run.events():
            pass
    learned = run.result("last")
    assert list(learned.vectors) == [encoder.name for encoder in model.text_encoders]
    start = vectors_of_words(model, "the dog", 1)
    assert all((rows - start[name]).abs().max() > 0.001 for name, rows in learned.vectors.items())
    database = sd_hijack.model_hijack.embedding_db
    path = save_embedding(learned, Path(database.embedding_dirs.popitem()[0]) / "zxqv", "safetensors", overwrite=True)
    database.add_embedding_dir(str(path.parent))
    database.load_textual_inversion_embeddings(force_reload=True)
    assert "zxqv" in database.word_embeddings and "zxqv" not in database.skipped_embeddings
    with model.borrowed(), torch.no_grad():
        same(encode_prompts(model, ["zxqv"], {"zxqv": learned.vectors}), told(["zxqv"]))


# ---- as it was found -----------------------------------------------------------------------------------------------


def check_the_model_is_left_as_it_was_found() -> None:
    import ldm.modules.attention as attention
    import ldm.modules.diffusionmodules.openaimodel as unet

    def found() -> list[Any]:
        kinds = (attention.CrossAttention, attention.BasicTransformerBlock, unet.ResBlock, unet.AttentionBlock)
        wanting = [weight.requires_grad for weight in net().parameters()]
        return [*(kind.forward for kind in kinds), wanting, net().alphas_cumprod.tolist(), net().training]

    before, first = found(), picture()
    model = WebuiModel()
    with model.borrowed():
        pass
    assert found() == before
    with contextlib.suppress(ZeroDivisionError), model.borrowed():
        raise ZeroDivisionError
    assert found() == before and np.array_equal(first, picture())


def check_a_lora_of_the_last_generation_is_taken_off() -> None:
    clean, first, model = weights(), picture(), WebuiModel()
    plain = answer(model)
    save_lora("loud")
    with_lora = picture("a photo of a cat <lora:loud:1>")
    assert not np.array_equal(first, with_lora), "the LoRA does nothing, so this would prove nothing"
    assert networks.loaded_networks
    assert torch.equal(answer(model), plain)
    assert all(torch.equal(weight, clean[name]) for name, weight in net().named_parameters() if name in clean)
    assert np.array_equal(with_lora, picture("a photo of a cat <lora:loud:1>")) and np.array_equal(first, picture())
    with chosen(sd_lora="loud"):  # in everybody's prompts, but not in a training
        assert torch.equal(answer(model), plain) and shared.opts.sd_lora == "loud"


def save_lora(name: str) -> None:
    """A LoRA of one layer of the UNet, with random weights, in the WebUI's folder."""
    layer, random = net().model.diffusion_model.time_embed[0], torch.Generator().manual_seed(4)
    key = "lora_unet_time_embedding_linear_1"
    tensors = {
        f"{key}.lora_down.weight": torch.randn((2, layer.in_features), generator=random),
        f"{key}.lora_up.weight": torch.randn((layer.out_features, 2), generator=random),
        f"{key}.alpha": torch.tensor(2.0),
    }
    folder = Path(shared.cmd_opts.lora_dir)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / f"{name}.safetensors")
    networks.list_available_networks()


def check_a_hypernetwork_of_the_last_generation_is_taken_off() -> None:
    model = WebuiModel()
    width = sum(encoder.vocabulary.shape[1] for encoder in model.text_encoders)
    plain = answer(model)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        loud = hypernetwork.Hypernetwork("loud", [width], layer_structure=[1, 2, 1], weight_init="Normal")
        for layer in loud.layers[width]:
            for parameter in layer.parameters():
                torch.nn.init.normal_(parameter, std=3.0)
    path = Path(shared.cmd_opts.hypernetwork_dir) / "loud.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    loud.save(str(path))
    shared.reload_hypernetworks()
    first, changed = picture(), picture("a photo of a cat <hypernet:loud:1>")
    assert not np.array_equal(first, changed), "the hypernetwork does nothing, so this would prove nothing"
    picture("a photo of a cat <hypernet:loud:1>")
    assert shared.loaded_hypernetworks
    assert torch.equal(answer(model), plain) and np.array_equal(first, picture())


def check_seamless_tiling_of_the_last_generation_is_off() -> None:
    model = WebuiModel()
    plain, first, tiled = answer(model), picture(), picture(tiling=True)
    assert not np.array_equal(first, tiled) and sd_hijack.model_hijack.circular_enabled
    assert torch.equal(answer(model), plain) and sd_hijack.model_hijack.circular_enabled
    assert np.array_equal(first, picture())


# ---- another checkpoint, another VAE -------------------------------------------------------------------------------


def check_another_checkpoint_pauses_and_the_own_one_goes_on() -> None:
    model, own = WebuiModel(), net().sd_checkpoint_info
    plain = answer(model)
    other = next((info for info in sd_models.checkpoints_list.values() if info.filename != own.filename), None)
    assert other is not None, "there must be two checkpoints"
    shared.opts.data["sd_model_checkpoint"] = other.title
    sd_models.reload_model_weights()
    try:
        with model.borrowed():
            raise AssertionError("it is not the checkpoint that this model stands for")
    except TrainingError as problem:
        assert other.name_for_extra in str(problem) and own.name_for_extra in str(problem), problem
    shared.opts.data["sd_model_checkpoint"] = own.title  # chosen again; as after a refiner, the other is still loaded
    assert torch.equal(answer(model), plain) and net().sd_checkpoint_info.filename == own.filename


def check_another_vae_pauses_and_the_own_one_goes_on() -> None:
    model = WebuiModel()
    path = Path(sd_vae.vae_path) / "other.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: weight * 1.01 for name, weight in net().first_stage_model.state_dict().items()}, path)
    sd_vae.refresh_vae_list()
    with chosen(sd_vae="other.safetensors"):
        sd_vae.reload_vae_weights()
        try:
            with model.borrowed():
                raise AssertionError("it is not the VAE that this model began with")
        except TrainingError as problem:
            assert "other.safetensors" in str(problem) and "checkpoint's own" in str(problem), problem
    with model.borrowed():  # the setting says the own one again; somebody's override was left
        assert sd_vae.loaded_vae_file is None


# ---- turns ---------------------------------------------------------------------------------------------------------


def check_whoever_waits_has_the_turn_before_it_is_taken_again() -> None:
    order: list[str] = []
    turns, wanted = QueueTurns(call_queue.queue_lock), threading.Event()

    def other() -> None:
        wanted.set()
        with call_queue.queue_lock:
            order.append("other")

    for _ in range(50):
        thread = threading.Thread(target=other)
        with turns:
            wanted.clear()
            thread.start()
            wanted.wait()
            while not call_queue.queue_lock._pending_threads:
                time.sleep(0.001)
            order.append("we")
        with turns:
            order.append("we again")
        thread.join()
    assert order == ["we", "other", "we again"] * 50, order[:12]


if __name__ == "__main__":
    main()
