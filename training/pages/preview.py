"""A contact sheet: pages with their boxes, to be looked at."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw

from .coco import CLASSES

COLOURS = ["#1f6fff", "#e0218a", "#12a150", "#8a2be2", "#ff7a00", "#a0522d", "#00a5b5", "#d4b400"]


def pages_of(folder: Path) -> list[tuple[Path, dict, list[dict]]]:
    """All pages of finished shards: image file, image record, its annotations."""
    out = []
    for file in sorted(folder.glob("shard-*/annotations.json")) or sorted(folder.glob("annotations.json")):
        data = json.loads(file.read_text())
        by_image: dict[int, list[dict]] = {}
        for annotation in data["annotations"]:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
        out += [(file.parent / image["file_name"], image, by_image.get(image["id"], [])) for image in data["images"]]
    return out


def preview(folder: Path, out: Path, count: int, columns: int, size: int, seed: int | None, kind: str | None) -> None:
    """Draws `count` pages, the first ones or (with a seed) random ones, `size` pixels each, with boxes coloured by class."""
    pages = [page for page in pages_of(folder) if kind in (None, page[1].get("kind"))]
    chosen = pages[:count] if seed is None else Random(seed).sample(pages, min(count, len(pages)))
    rows = (len(chosen) + columns - 1) // columns
    contact = Image.new("RGB", (columns * (size + 8), rows * (size + 8) + 22), "#777")
    pen = ImageDraw.Draw(contact)
    for i, name in enumerate(CLASSES):
        pen.text((8 + i * 120, 4), name, fill=COLOURS[i], stroke_width=1, stroke_fill="white", font_size=15)
    for index, (file, image, labels) in enumerate(chosen):
        picture = Image.open(file).convert("RGB")
        scale = size / max(picture.size)
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
        draw = ImageDraw.Draw(picture)
        for annotation in labels:
            x, y, w, h = (v * scale for v in annotation["bbox"])
            draw.rectangle([x, y, x + w, y + h], outline=COLOURS[annotation["category_id"] - 1])
        draw.text((3, 1), f"{index} {image.get('kind', '')}", fill="red", font_size=11)
        contact.paste(picture, (index % columns * (size + 8) + 4, index // columns * (size + 8) + 24))
    contact.save(out)
