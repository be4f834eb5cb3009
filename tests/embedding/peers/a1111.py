"""AUTOMATIC1111's own code that reads and writes embeddings, in a process of its own.

    python a1111.py load FOLDER WIDTH RESULT     what its EmbeddingDatabase finds in FOLDER, as torch.save of a dict
    python a1111.py write FOLDER                 FOLDER/word.pt with .optim by Embedding.save, cards by its functions

The working folder is that of the WebUI. Real are textual_inversion, image_embedding, safe, errors and hashes; what
reads the command line, asks for a model or draws a user interface is replaced by hand.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from PIL import Image, ImageFont, PngImagePlugin


def stand_in(name: str, **content: Any) -> None:
    module = ModuleType(f"modules.{name}")
    module.__dict__.update(content)
    sys.modules[module.__name__] = module
    setattr(importlib.import_module("modules"), name, module)


def import_loader(width: int) -> tuple[Any, Any]:
    """The modules `textual_inversion` and `image_embedding`, for a model whose input vectors are `width` wide."""
    sys.path.insert(0, ".")
    cond_stage_model = SimpleNamespace(
        tokenize=lambda texts: [[ord(letter) for letter in text] for text in texts],
        encode_embedding_init_text=lambda text, count: torch.zeros(count, width),
    )
    stand_in(
        "shared",
        opts=SimpleNamespace(textual_inversion_print_at_load=False, save_optimizer_state=True),
        cmd_opts=SimpleNamespace(disable_safe_unpickle=False, no_hashing=False),
        sd_model=SimpleNamespace(cond_stage_model=cond_stage_model),
    )
    stand_in("devices", device=torch.device("cpu"), torch_npu_set_device=lambda: None)
    stand_in("images", get_font=lambda size: ImageFont.load_default())
    stand_in("cache", cache=lambda name: {}, dump_cache=lambda: None)
    for unused in ("sd_hijack", "sd_models", "sd_samplers", "sd_hijack_checkpoint", "textual_inversion.dataset"):
        stand_in_deep(unused)
    stand_in("textual_inversion.learn_schedule", LearnRateScheduler=None)
    importlib.import_module("modules.safe")  # as in the WebUI, torch.load is from here on the restricted one
    names = ("modules.textual_inversion.textual_inversion", "modules.textual_inversion.image_embedding")
    loader, pictures = map(importlib.import_module, names)
    return loader, pictures


def stand_in_deep(name: str) -> None:
    *parents, _ = name.split(".")
    for parent in parents:
        importlib.import_module(f"modules.{parent}")
    stand_in(name)


def load(folder: Path, width: int, result: Path) -> None:
    loader, _ = import_loader(width)
    database = loader.EmbeddingDatabase()
    database.add_embedding_dir(str(folder))
    database.load_textual_inversion_embeddings(force_reload=True)
    found = {
        name: {"vectors": embedding.vec, "count": embedding.vectors, "step": embedding.step, "hash": embedding.hash}
        | {"sd_checkpoint": embedding.sd_checkpoint, "sd_checkpoint_name": embedding.sd_checkpoint_name}
        for name, embedding in database.word_embeddings.items()
    }
    torch.save(found, result)


def write(folder: Path) -> None:
    loader, pictures = import_loader(768)
    vectors = 0.05 * torch.randn(3, 768, generator=torch.Generator().manual_seed(5))
    # As its trainer does: the vectors are a leaf that learns.
    embedding = loader.Embedding(vectors.clone().requires_grad_(), "word", 250)
    embedding.sd_checkpoint, embedding.sd_checkpoint_name = "0123456789", "model-v1"
    embedding.vec.grad = torch.ones_like(vectors)
    optimizer = torch.optim.AdamW([embedding.vec], lr=0.005, weight_decay=0.0)
    optimizer.step()
    torch.save(embedding.vec.detach(), folder / "vectors")
    embedding.optimizer_state_dict = optimizer.state_dict()
    embedding.save(str(folder / "word.pt"))
    # Newer versions of torch write entries that its safe loading refuses; its own way round is used here.
    data = importlib.import_module("modules.safe").unsafe_torch_load(str(folder / "word.pt"))
    info = PngImagePlugin.PngInfo()
    info.add_text("sd-ti-embedding", pictures.embedding_to_b64(data))
    # Without its own caption: that only paints, and asks Pillow for fonts.
    picture = Image.linear_gradient("L").resize((512, 512)).convert("RGBA")
    pictures.insert_image_data_embed(picture, data).save(folder / "both.png", pnginfo=info)
    pictures.insert_image_data_embed(picture, data).save(folder / "pixels.png")
    picture.save(folder / "text.png", pnginfo=info)


if __name__ == "__main__":
    if sys.argv[1] == "load":
        load(Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        write(Path(sys.argv[2]))
