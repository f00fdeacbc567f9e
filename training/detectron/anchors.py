"""Anchors (Detectron2's `DefaultAnchorGenerator`) and how well they fit a set of boxes.

    python -m detectron.anchors --data DIR --config configs/narrow.yaml     # recall of the anchors over DIR's boxes
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from . import boxes as box_ops


@dataclass
class Level:
    """The anchors of one level: `cells` [A, 4] around 0, which are shifted over the grid."""

    cells: Tensor
    stride: int
    offset: float

    def shifts(self, count: int) -> Tensor:
        return (torch.arange(count, dtype=torch.float32, device=self.cells.device) + self.offset) * self.stride

    def grid(self, height: int, width: int) -> Tensor:
        """All anchors of a map, [height · width · A, 4] in the order (y, x, anchor)."""
        y, x = torch.meshgrid(self.shifts(height), self.shifts(width), indexing="ij")
        shifts = torch.stack([x, y, x, y], dim=-1)
        return (shifts[:, :, None] + self.cells).reshape(-1, 4)

    def shares(self, height: int, width: int, truth: Tensor) -> Tensor:
        """Intersection over *sum of areas* of `truth` [G, 4] with `grid(height, width)`: [G, height · width · A], from 0 to 0.5.

        It grows with the intersection over union, which is `iou_of` it, and is far cheaper: an intersection is a width, which depends
        on the column only, times a height, which depends on the row only. So there are two small tables, the areas go into one of
        them, and each of the millions of pairs costs one product.
        """
        def along(axis: int, count: int) -> Tensor:
            shifts = self.shifts(count)[:, None]
            low, high = shifts + self.cells[:, axis], shifts + self.cells[:, axis + 2]
            start, end = truth[:, axis, None, None], truth[:, axis + 2, None, None]
            return (torch.minimum(high, end) - torch.maximum(low, start)).clamp_(min=0)

        areas = box_ops.area(truth)[:, None, None] + box_ops.area(self.cells)
        return (along(1, height)[:, :, None] * (along(0, width) / areas)[:, None]).flatten(1)


def iou_of(shares: Tensor) -> Tensor:
    return shares / (1 - shares)


def cell_anchors(sizes: list[float], ratios: list[float]) -> Tensor:
    """[A, 4] around 0; a ratio is height over width."""
    cells = []
    for size in sizes:
        for ratio in ratios:
            width = math.sqrt(size**2 / ratio)
            height = ratio * width
            cells.append([-width / 2, -height / 2, width / 2, height / 2])
    return torch.tensor(cells)


def levels(cfg, strides: tuple[int, ...]) -> list[Level]:
    """One list of sizes and of ratios a level; a list that stands alone serves all levels."""
    def pick(lists, level):
        return lists[0 if len(lists) == 1 else level]

    return [
        Level(cell_anchors(pick(cfg.SIZES, i), pick(cfg.ASPECT_RATIOS, i)), stride, cfg.OFFSET) for i, stride in enumerate(strides)
    ]


def recall(cfg, truth: list[tuple[int, int, Tensor]], thresholds=(0.5, 0.6, 0.7)) -> tuple[list[float], float]:
    """The part of the boxes that some anchor overlaps by at least each threshold, and the mean of the best overlaps.

    `truth` holds height and width of the network's input and the boxes on it.
    """
    from .fpn import STRIDES

    best = []
    for height, width, boxes in truth:
        if len(boxes):
            maps = [(level, math.ceil(height / level.stride), math.ceil(width / level.stride)) for level in levels(cfg, STRIDES)]
            best.append(iou_of(torch.stack([level.shares(h, w, boxes).amax(1) for level, h, w in maps]).amax(0)))
    best = torch.cat(best)
    return [(best >= t).float().mean().item() for t in thresholds], best.mean().item()


def _main() -> None:
    import argparse

    from learn import shards

    from . import config, image

    parser = argparse.ArgumentParser(description="How well a configuration's anchors fit the boxes of a set of pages, at test size")
    parser.add_argument("--data", required=True, action="append", help="folder of shards; may be given again")
    parser.add_argument("--config", required=True)
    parser.add_argument("--pages", type=int, default=300, help="how many pages to look at (default 300)")
    args = parser.parse_args()
    cfg = config.read(args.config)
    by_class: dict[str, list] = {"all": []}
    for page in shards.scan(args.data, cfg.TRAIN.CLASSES)[: args.pages]:
        width, height = image.resized_size(page.width, page.height, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
        boxes = torch.from_numpy(page.boxes) * torch.tensor([width / page.width, height / page.height]).repeat(2)
        classes = torch.from_numpy(page.classes)
        by_class["all"].append((height, width, boxes))
        for i in classes.unique().tolist():
            by_class.setdefault(cfg.TRAIN.CLASSES[i], []).append((height, width, boxes[classes == i]))
    print(f"{'class':14} {'boxes':>6} {'IoU≥.5':>7} {'≥.6':>6} {'≥.7':>6} {'mean':>6}")
    for name, truth in by_class.items():
        parts, mean = recall(cfg.MODEL.ANCHOR_GENERATOR, truth)
        print(f"{name:14} {sum(len(t[2]) for t in truth):6} {parts[0]:7.3f} {parts[1]:6.3f} {parts[2]:6.3f} {mean:6.3f}")


if __name__ == "__main__":
    _main()
