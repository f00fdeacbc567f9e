"""A run's folder: the checkpoint to go on from, and the model to use."""

import os
from pathlib import Path

import torch
from safetensors.torch import load_file

from detectron import config

CHECKPOINT, CONFIG = "checkpoint.pth", "training.yaml"


def save(path: Path, value) -> None:
    """All or nothing: whatever dies meanwhile, the file is the old one or the new one."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def load(folder: Path) -> dict | None:
    path = folder / CHECKPOINT
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def begin_with(model: torch.nn.Module, path: Path) -> list[str]:
    """Copies weights of the same name and shape, and returns the names of those that the file has not."""
    safe = path.suffix == ".safetensors"
    state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)["model"]
    own = model.state_dict()
    fits = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    if not fits:
        raise SystemExit(f"{path}: no layer has the name and shape of one of this configuration; is it the model of another architecture?")
    model.load_state_dict(fits, strict=False)
    return [name for name, value in own.items() if name not in fits and value.is_floating_point()]


def export(folder: Path, model: torch.nn.Module, cfg) -> None:
    """`model_final.pth`, `config.yaml` and `classes.txt`, as Detectron2 would leave them; docreader takes the folder as it is.

    Convolutions and matrices are written as f16, which halves the file and moves scores by about 0.001; norms stay f32, as running
    variances may leave f16's range.
    """
    state = {
        name: (value.half() if value.ndim > 1 else value).contiguous().clone()
        for name, value in model.state_dict().items()
        if value.is_floating_point()
    }
    save(folder / "model_final.pth", {"model": state})
    (folder / "config.yaml").write_text(config.for_detectron2(cfg))
    (folder / "classes.txt").write_text("\n".join(cfg.TRAIN.CLASSES) + "\n")
