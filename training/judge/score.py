"""COCO's average precision, class by class, and how well a single page was read."""

import contextlib
import io
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from learn.shards import Page

from .product import Found

# The classes that a document's rows are made of, over which the headline figure is the mean.
MAIN = ("text", "table", "figure", "title", "list")


@dataclass
class Row:
    name: str
    boxes: int
    ap: float
    ap50: float


def average_precision(pages: list[Page], found: list[list[Found]], classes: list[str]) -> list[Row]:
    """A row a class that the pages have, then the means. Regions whose label is not in `classes` raise ValueError."""
    annotations, results = [], []
    for number, (page, regions) in enumerate(zip(pages, found)):
        for (x0, y0, x1, y1), c in zip(page.boxes.tolist(), page.classes.tolist()):
            box = [x0, y0, x1 - x0, y1 - y0]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": c, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            )
        for region in regions:
            x0, y0, x1, y1 = region.box
            c = classes.index(region.label)
            results.append({"image_id": number, "category_id": c, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": region.score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i, "width": p.width, "height": p.height} for i, p in enumerate(pages)],
            "annotations": annotations,
            "categories": [{"id": i, "name": name} for i, name in enumerate(classes)],
        }
        truth.createIndex()
        if not results:
            return []
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    # [thresholds, recalls, classes, areas, numbers of detections]; -1 where a class has no box
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    rows = []
    for c, name in enumerate(classes):
        count = sum(a["category_id"] == c for a in annotations)
        if count:
            rows.append(Row(name, count, float(precision[:, :, c].mean()), float(precision[0, :, c].mean())))
    main = [row for row in rows if row.name in MAIN]
    return rows + [_mean(f"mean of {len(main)} main", main), _mean(f"mean of all {len(rows)}", rows)]


def _mean(name: str, rows: list[Row]) -> Row:
    return Row(name, sum(r.boxes for r in rows), float(np.mean([r.ap for r in rows])), float(np.mean([r.ap50 for r in rows])))


def table(rows: list[Row]) -> str:
    if not rows:
        return "nothing was found"
    lines = [f"{'class':16} {'boxes':>6} {'AP':>6} {'AP50':>6}"]
    lines += [f"{row.name:16} {row.boxes:6} {row.ap:6.3f} {row.ap50:6.3f}" for row in rows]
    return "\n".join(lines)


def agreement(page: Page, regions: list[Found], classes: list[str], score: float = 0.5) -> float:
    """F1 of the regions from `score` on: a region counts if it is of a box's class and overlaps it by half, each box once."""
    regions = [region for region in regions if region.score >= score]
    free = list(zip(page.boxes.tolist(), page.classes.tolist()))
    hits = 0
    for region in regions:
        for box, c in free:
            if classes[c] == region.label and iou(region.box, box) >= 0.5:
                free.remove((box, c))
                hits += 1
                break
    return 2 * hits / max(1, len(regions) + len(page.boxes))


def iou(a: list[float], b: list[float]) -> float:
    """Shared area over all area of two boxes (x0, y0, x1, y1)."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union
