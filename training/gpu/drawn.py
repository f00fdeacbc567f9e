"""A small set of drawn pages and a small network for `gpu/run --smoke`: what needs neither the page factory nor a GPU."""

import copy
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from learn import shards

from . import pack


def page(path: Path, dice: random.Random, classes: list[str]) -> shards.Page:
    """Lines of text, a heading, a framed figure: bars and rectangles, but with true boxes."""
    width, height = dice.choice([(420, 594), (420, 594), (420, 594), (594, 420)])
    image = Image.new("RGB", (width, height), (250, 250, dice.randint(235, 255)))
    pen, rows, y = ImageDraw.Draw(image), [], dice.randint(20, 40)
    while y < height - 60:
        kind = dice.choice(["text", "text", "title", "figure"])
        left, right = dice.randint(20, 50), width - dice.randint(20, 140)
        tall = {"text": dice.randint(20, 80), "title": 14, "figure": dice.randint(60, 120)}[kind]
        bottom = min(y + tall, height - 30)
        if kind == "figure":
            pen.rectangle([left, y, right, bottom], fill=tuple(dice.randint(60, 220) for _ in range(3)), outline="black")
        else:
            for line in range(y, bottom - 4, 10 if kind == "text" else 99):
                pen.rectangle([left, line, right, line + (4 if kind == "text" else 11)], fill="black")
        rows.append((left, y, right, bottom, classes.index(kind)))
        y = bottom + dice.randint(14, 30)
    image.save(path)
    rows = np.array(rows, np.float32)
    return shards.Page(path, width, height, rows[:, :4], rows[:, 4].astype(np.int64))


def pack_some(folder: Path, classes: list[str], count: int = 48) -> Path:
    """A packed set of `count` drawn pages below `folder`."""
    dice = random.Random(1)
    pages = [page(folder / f"{number:03}.png", dice, classes) for number in range(count)]
    pack.write(folder / "set", pages[8:], pages[:8], classes, 2**24, 1)
    return folder / "set"


def small(cfg):
    """The configuration, as small as it can be."""
    cfg = copy.deepcopy(cfg)
    cfg.INPUT.update(MIN_SIZE_TRAIN=[160], MIN_SIZE_TEST=160)
    cfg.MODEL.RESNETS.update(STEM_OUT_CHANNELS=8, RES2_OUT_CHANNELS=16, WIDTH_PER_GROUP=8)
    cfg.MODEL.FPN.OUT_CHANNELS = 24
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 64
    cfg.MODEL.RPN.update(PRE_NMS_TOPK_TRAIN=100, POST_NMS_TOPK_TRAIN=60)
    cfg.SOLVER.update(IMS_PER_BATCH=8, WARMUP_ITERS=20)
    cfg.TRAIN.STAGES = [[0.3, [96]]]
    return cfg
