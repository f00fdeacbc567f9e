"""Boxes as tensors [..., 4] of x0, y0, x1, y1 in pixels: coding, clipping, area (Detectron2's `Box2BoxTransform` and `Boxes`)."""

import functools
import math

import torch
from torch import Tensor

# The largest growth that a predicted log-size may ask for.
SCALE_CLAMP = math.log(1000.0 / 16)


@functools.cache
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Numbers as a tensor, made once: sending them to a GPU anew waits for everything that it has to do before."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def _centre_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size


def encode(source: Tensor, target: Tensor, weights: list[float]) -> Tensor:
    """The deltas (dx, dy, dw, dh) that lead from `source` to `target`; both [N, 4]."""
    (source_centre, source_size), (target_centre, target_size) = _centre_size(source), _centre_size(target)
    shift = (target_centre - source_centre) / source_size
    return torch.cat([shift, (target_size / source_size).log()], dim=-1) * constant(tuple(weights), source.device)


def decode(deltas: Tensor, source: Tensor, weights: list[float]) -> Tensor:
    """Where `deltas` [..., 4] lead from `source` [..., 4]; the shapes broadcast."""
    deltas = deltas.float() / constant(tuple(weights), source.device)
    centre, size = _centre_size(source)
    centre = deltas[..., :2] * size + centre
    half = 0.5 * deltas[..., 2:].clamp(max=SCALE_CLAMP).exp() * size
    return torch.cat([centre - half, centre + half], dim=-1)


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut at the edges of an image of `size` (height, width)."""
    height, width = size
    limit = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limit)


def area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
