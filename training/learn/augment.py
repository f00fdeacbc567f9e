"""What a page may look like besides how it was made: another crop, other colours, worse quality."""

import io
import random

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

# A box of which less than this is left after a crop is no longer what it was.
LEAST_VISIBLE = 0.4
# Shorter sides than this cannot be found, in pixels of the network's input.
LEAST_SIDE = 3


def zoom(page: Image.Image, boxes: np.ndarray, classes: np.ndarray, least: float, dice: random.Random):
    """A random part of the page, at least `least` of each side and about as wide for its height."""
    part = dice.uniform(least, 1)
    width, height = (max(32, round(side * min(1, part * dice.uniform(0.9, 1.1)))) for side in page.size)
    left, top = dice.randint(0, max(0, page.width - width)), dice.randint(0, max(0, page.height - height))
    page = page.crop((left, top, min(page.width, left + width), min(page.height, top + height)))
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    moved = boxes - np.array([left, top, left, top], dtype=np.float32)
    moved = np.clip(moved, 0, np.array([page.width, page.height] * 2, dtype=np.float32))
    left_over = (moved[:, 2] - moved[:, 0]) * (moved[:, 3] - moved[:, 1])
    keep = left_over > LEAST_VISIBLE * area
    return page, moved[keep], classes[keep]


def flip(page: Image.Image, boxes: np.ndarray):
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = page.width - boxes[:, [2, 0]]
    return ImageOps.mirror(page), mirrored


def photometric(page: Image.Image, invert_prob: float, dice: random.Random) -> Image.Image:
    """One or two of: brightness, contrast, colour, grey, JPEG's blocks; sometimes white on black."""
    kinds = (_brightness, _contrast, _colour, _grey, _jpeg)
    for change in dice.sample(kinds, dice.choice((1, 1, 2))):
        page = change(page, dice)
    return ImageOps.invert(page) if dice.random() < invert_prob else page


def _brightness(page, dice):
    return ImageEnhance.Brightness(page).enhance(dice.uniform(0.7, 1.15))


def _contrast(page, dice):
    return ImageEnhance.Contrast(page).enhance(dice.uniform(0.6, 1.3))


def _colour(page, dice):
    """A tint, as of old paper or a lamp."""
    tint = [dice.uniform(0.85, 1.05) for _ in range(3)]
    return page.point([min(255, round(value * channel)) for channel in tint for value in range(256)])


def _grey(page, dice):
    return page.convert("L").convert("RGB")


def _jpeg(page, dice):
    buffer = io.BytesIO()
    page.save(buffer, "JPEG", quality=dice.randint(20, 70))
    return Image.open(buffer).convert("RGB")
