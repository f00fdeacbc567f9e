"""What training relies on. Run from training/: `python -m pytest pages`."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pypdfium2 as pdfium

from pages import latex
from pages.chromium import Chromium
from pages.coco import CLASSES, box_of
from pages.layouts import KINDS, document
from pages.make import make
from pages.preview import pages_of


def test_same_seed_same_pages(made: Path, tmp_path: Path) -> None:
    """A second run of the same seed makes the same labels and the same pixels."""
    make(tmp_path, 12, 5, 1)
    first, second = pages_of(made)[:12], pages_of(tmp_path)
    assert [p[1:] for p in first] == [p[1:] for p in second]
    assert all(a[0].read_bytes() == b[0].read_bytes() for a, b in zip(first, second, strict=True))


def test_finished_shards_are_left_alone(made: Path) -> None:
    """A second run over a finished folder writes nothing."""
    file = made / "shard-00000" / "annotations.json"
    before = file.stat().st_mtime_ns
    make(made, 100, 5, 1)
    assert file.stat().st_mtime_ns == before


def test_boxes_lie_within_the_page(made: Path) -> None:
    """No box leaves its page or is a sliver, and each page has a label."""
    for _, image, labels in pages_of(made):
        assert labels
        for annotation in labels:
            x, y, w, h = annotation["bbox"]
            assert x >= 0 and y >= 0 and w >= 3 and h >= 3
            assert x + w <= image["width"] + 0.02 and y + h <= image["height"] + 0.02


def overlap(a: list[float], b: list[float]) -> float:
    """Shared area over the smaller box's area."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0.0, w) * max(0.0, h) / min(a[2] * a[3], b[2] * b[3])


def test_boxes_do_not_overlap_on_clean_pages(made: Path) -> None:
    """Labels never share ink. (Boxes of a turned page may overlap at their corners.)"""
    for file, image, labels in pages_of(made):
        boxes = [a["bbox"] for a in labels]
        if not image["scanned"]:
            assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if overlap(a, b) > 0.1], file


def test_every_class_occurs(made: Path) -> None:
    """100 pages are enough to meet all classes."""
    found = {a["category_id"] for _, _, labels in pages_of(made) for a in labels}
    assert found == set(range(1, len(CLASSES) + 1))


def test_text_boxes_hold_ink(made: Path) -> None:
    """Nothing invisible is labelled: the pixels of a text box differ from one another."""
    for file, image, labels in pages_of(made):
        if image["scanned"]:
            continue
        grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        for annotation in labels:
            x, y, w, h = (round(v) for v in annotation["bbox"])
            assert int(np.ptp(grey[y : y + h, x : x + w])) > 40, (file, annotation)


def test_every_kind_prints() -> None:
    """Each kind of document gives as many PDF pages as sheets, with labels."""
    with Chromium() as browser:
        for kind in KINDS:
            _, html = document(Random(f"kind {kind}"), kind)
            pdf, sheets = browser.render(html)
            assert pdf.startswith(b"%PDF") and len(sheets) == html.count("<section class=sheet")
            assert any(sheet.boxes for sheet in sheets), kind


def test_box_of_a_turned_part() -> None:
    """A quarter turn about the origin, moved back into view, swaps width and height."""
    quarter = np.array([[0, -1, 100], [1, 0, 0], [0, 0, 1.0]])
    assert box_of([[10, 20, 40, 30]], quarter, 100, 100) == [70.0, 10.0, 10.0, 30.0]


def test_annotations_are_coco(made: Path) -> None:
    """Ids, categories and segmentation are what COCO readers expect."""
    data = json.loads((made / "shard-00000" / "annotations.json").read_text())
    assert [c["name"] for c in data["categories"]] == CLASSES
    images = {image["id"] for image in data["images"]}
    assert all(a["image_id"] in images and len(a["segmentation"][0]) == 8 and a["area"] > 0 for a in data["annotations"])


def test_latex_boxes_hold_all_ink() -> None:
    """What LaTeX prints is inside the boxes but for footnotes' marks, and a turned-off colour is the same page."""
    found = set()
    for seed in range(3):
        _, pdf, sheets = latex.render(Random(f"latex {seed}"))
        with pdfium.PdfDocument(pdf) as opened:
            assert len(opened) == len(sheets)
            for page, sheet in zip(opened, sheets, strict=True):
                if not sheet.boxes:
                    continue
                grey = page.render(scale=2 * 96 / 72).to_numpy()[:, :, :3].min(2)
                ink = grey < 128
                total = ink.sum()
                for name, (box,) in sheet.boxes:
                    found.add(name)
                    x0, y0, x1, y1 = (round(v * 2) for v in box)
                    assert ink[y0:y1, x0:x1].any(), (seed, name)
                    ink[max(0, y0 - 3) : y1 + 3, max(0, x0 - 3) : x1 + 3] = False
                assert ink.sum() < 0.01 * total + 400, (seed, ink.sum(), total)
    assert {"text", "title", "list"} <= found
