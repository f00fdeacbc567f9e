"""A model in parts of at most 16 MiB, because no larger file comes back from the machine; and put together again.

    python -m gpu.parts OUT --model ../target/run-gpu       # model_final.pth, config.yaml, classes.txt, as train.py writes them
"""

import argparse
import hashlib
import io
import os
import shutil
from pathlib import Path

import torch
import yaml

from detectron import config
from detectron.rcnn import GeneralizedRCNN
from learn import checkpoint, journal

PART = 15 * 2**20
NAME = "model.{}"
LOG = "log.jsonl"


def write(folder: Path, model: torch.nn.Module, cfg, **facts) -> int:
    """Writes the model's weights as f16 and returns its number of parts; each begins with the sum of the whole, so parts of two models
    are never taken together.

    New parts lie beside the old ones under names that do not come back (`~`) until all are whole.
    """
    state = {
        name: (value.half() if value.ndim > 1 else value).cpu().contiguous()
        for name, value in model.state_dict().items()
        if value.is_floating_point()
    }
    buffer = io.BytesIO()
    torch.save({"model": state, "config": config.dump(cfg), "facts": facts}, buffer)
    whole = buffer.getvalue()
    mark = hashlib.sha256(whole).digest()
    parts = [whole[i : i + PART] for i in range(0, len(whole), PART)]
    for number, part in enumerate(parts):
        with (folder / f"{NAME.format(number)}~").open("wb") as file:
            file.write(mark + bytes([len(parts)]) + part)
    for number in range(len(parts)):
        os.replace(folder / f"{NAME.format(number)}~", folder / NAME.format(number))
    return len(parts)


def read(folder: Path) -> dict:
    """The weights `model`, the configuration `config` and `facts`; ValueError where the parts are not those of one model."""
    first = (folder / NAME.format(0)).read_bytes()
    parts = [first] + [(folder / NAME.format(number)).read_bytes() for number in range(1, first[32])]
    whole = b"".join(part[33:] for part in parts)
    if any(part[:33] != first[:33] for part in parts) or hashlib.sha256(whole).digest() != first[:32]:
        raise ValueError(f"{folder}: the parts are not of one model, or damaged")
    return torch.load(io.BytesIO(whole), map_location="cpu", weights_only=True)


def join(folder: Path, out: Path) -> dict:
    """The model of `folder`'s parts in the form that `app model import` takes, with its log; returns the facts about it."""
    found = read(folder)
    out.mkdir(parents=True, exist_ok=True)
    kept = out / checkpoint.CONFIG
    kept.write_text(found["config"])
    cfg = config.read(kept)
    model = GeneralizedRCNN(cfg)
    model.load_state_dict(found["model"], strict=False)
    checkpoint.export(out, model, cfg)
    if (folder / LOG).exists():
        shutil.copyfile(folder / LOG, out / LOG)
    return found["facts"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what came back: model.0, model.1, …")
    parser.add_argument("--model", type=Path, required=True, help="folder for the model")
    args = parser.parse_args()
    print(yaml.safe_dump(join(args.folder, args.model)), end="")
    if (args.model / LOG).exists():
        print(journal.plot(args.model))


if __name__ == "__main__":
    main()
