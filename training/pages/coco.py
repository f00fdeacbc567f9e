"""COCO records: categories, boxes from parts, shard files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

CLASSES = ["text", "title", "list", "table", "figure", "caption", "header_footer", "formula"]
CATEGORIES = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
SMALLEST = 3.0  # pixels: thinner boxes are slivers of clipped ink


def box_of(parts: list[list[float]], matrix: np.ndarray, width: int, height: int) -> list[float] | None:
    """[x, y, w, h] in pixels around all parts after `matrix` (3x3), within the image; None when next to nothing is left."""
    corners = np.array([[(x0, y0, 1), (x1, y0, 1), (x1, y1, 1), (x0, y1, 1)] for x0, y0, x1, y1 in parts]).reshape(-1, 3)
    moved = corners @ matrix.T
    points = np.clip(moved[:, :2] / moved[:, 2:], 0, [width, height])
    low, high = points.min(0), points.max(0)
    w, h = (high - low).tolist()
    if w < SMALLEST or h < SMALLEST:
        return None
    return [round(float(v), 2) for v in (low[0], low[1], w, h)]


class Shard:
    """The records of one shard; ids count from 1 within it."""

    def __init__(self) -> None:
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add(self, file: str, width: int, height: int, boxes: list[tuple[str, list[float]]], **facts: object) -> None:
        """One page; `facts` (kind, language, scanned …) are kept with the image for later questions."""
        self.images.append({"id": len(self.images) + 1, "file_name": file, "width": width, "height": height, **facts})
        for name, (x, y, w, h) in boxes:
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1,
                    "image_id": len(self.images),
                    "category_id": CLASSES.index(name) + 1,
                    "bbox": [x, y, w, h],
                    "area": round(w * h, 2),
                    "iscrowd": 0,
                    "segmentation": [[round(v, 2) for v in (x, y, x + w, y, x + w, y + h, x, y + h)]],
                }
            )

    def write(self, file: Path) -> None:
        """Writes whole or not at all: a shard counts as done once this file is there."""
        part = file.with_suffix(".part")
        part.write_text(json.dumps({"images": self.images, "annotations": self.annotations, "categories": CATEGORIES}))
        part.replace(file)
