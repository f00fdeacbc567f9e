"""Pages and their boxes from folders of shards: `DIR/shard-*/annotations.json` (COCO) beside `images/`."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class Page:
    """A page's image file, size in pixels, boxes [N, 4] (x0, y0, x1, y1) and classes [N], counted from 0."""

    path: Path
    width: int
    height: int
    boxes: np.ndarray
    classes: np.ndarray


def scan(folders: list[str | Path], classes: list[str]) -> list[Page]:
    """All pages of all finished shards, in a fixed order. A shard is finished when its annotations are there."""
    pages = []
    for folder in folders:
        for annotations in sorted(Path(folder).glob("shard-*/annotations.json")):
            pages += _read(annotations, classes)
    return pages


def _read(annotations: Path, classes: list[str]) -> list[Page]:
    coco = json.loads(annotations.read_text())
    number = {}
    for category in coco["categories"]:
        if category["name"] not in classes:
            raise ValueError(f"{annotations}: class {category['name']!r} is not among TRAIN.CLASSES {classes}")
        number[category["id"]] = classes.index(category["name"])
    of_image: dict[int, list] = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        x, y, w, h = annotation["bbox"]
        if w >= 1 and h >= 1 and not annotation.get("iscrowd"):
            of_image[annotation["image_id"]].append((x, y, x + w, y + h, number[annotation["category_id"]]))
    pages = []
    for image in coco["images"]:
        rows = np.array(of_image[image["id"]], dtype=np.float32).reshape(-1, 5)
        path = annotations.parent / image["file_name"]
        if not path.exists():
            path = annotations.parent / "images" / image["file_name"]
        pages.append(Page(path, image["width"], image["height"], rows[:, :4], rows[:, 4].astype(np.int64)))
    return pages
