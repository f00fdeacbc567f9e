"""The command line of gpu/run."""

import argparse
import os
import tempfile
from pathlib import Path

import torch

from detectron import config

from . import drawn, parts, train

TRAINING = Path(__file__).parent.parent


def main(begun: float) -> None:
    parser = argparse.ArgumentParser(description=train.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, help="the packed set (gpu/pack.py)")
    parser.add_argument("--out", type=Path, help="folder for the model in parts and log.jsonl")
    parser.add_argument("--seconds", type=float, help="from this process's start to its end")
    parser.add_argument("--config", type=Path, default=TRAINING / "configs/medium.yaml", help="default configs/medium.yaml")
    parser.add_argument("--weights", type=Path, help="begin with the weights of this model_final.pth or model.safetensors, with a warm-up of its own")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    parser.add_argument("--smoke", action="store_true", help="a small network for a short while, and its model joined; draws a set unless --set is given")
    args = parser.parse_args()
    if not args.smoke and not (args.set and args.out and args.seconds):
        parser.error("say --set, --out and --seconds, or --smoke")
    cfg = config.read(args.config)
    options = train.Options(args.set, args.out, args.seconds, begun, not args.no_compile, args.weights, os.cpu_count())
    if not args.smoke:
        train.run(options, cfg)
        return
    # Threads that wait for each other stand still beside other work.
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        options.set = args.set or drawn.pack_some(Path(scratch), cfg.TRAIN.CLASSES)
        options.out = args.out or Path(scratch) / "out"
        options.seconds, options.compile, options.checkpoint_seconds = args.seconds or 75, False, 15
        # Beside other work a single step may take longer than all that is left.
        options.grace = 600
        train.run(options, drawn.small(cfg))
        model = options.out / "joined"
        print(parts.join(options.out, model), *sorted(file.name for file in model.iterdir()))
