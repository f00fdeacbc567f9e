"""From a page to the network's input, as Detectron2's predictor and docreader do it."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def rgb(page: Image.Image) -> Image.Image:
    """Decoded, in three channels; `convert` alone would copy a page that has them already."""
    page.load()
    return page if page.mode == "RGB" else page.convert("RGB")


def resized_size(width: int, height: int, min_size: int, max_size: int) -> tuple[int, int]:
    """Width and height after `ResizeShortestEdge`."""
    scale = min_size / min(width, height)
    new_width, new_height = (min_size, scale * height) if width <= height else (scale * width, min_size)
    longest = max(new_width, new_height)
    if longest > max_size:
        new_width, new_height = new_width * (max_size / longest), new_height * (max_size / longest)
    return int(new_width + 0.5), int(new_height + 0.5)


def resize(page: Image.Image, min_size: int, max_size: int) -> Image.Image:
    size = resized_size(page.width, page.height, min_size, max_size)
    return page.resize(size, Image.Resampling.BILINEAR) if size != page.size else page


def to_tensor(page: Image.Image, channels: str) -> Tensor:
    """[3, H, W] of bytes in the order `channels`, RGB or BGR."""
    pixels = np.asarray(rgb(page))
    if channels == "BGR":
        pixels = pixels[:, :, ::-1]
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())
