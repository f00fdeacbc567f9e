"""Labels of one sheet of paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Sheet:
    """Labels of one sheet: its size and its boxes, each a class name and the rectangles (x0, y0, x1, y1) of its parts, in CSS pixels."""

    width: float
    height: float
    boxes: list[tuple[str, list[list[float]]]]

    def emptied(self) -> Sheet:
        """A sheet of this size that is not kept."""
        return Sheet(self.width, self.height, [])

    def collides(self) -> bool:
        """Whether two boxes share more than a tenth of the smaller one, as where a table is too wide for its column."""
        boxes = np.array([part for _, (part,) in self.boxes]).reshape(-1, 4)
        shared = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        part = shared.clip(0).prod(2) / np.minimum(areas[:, None], areas[None, :])
        return bool((np.triu(part, 1) > 0.1).any())
