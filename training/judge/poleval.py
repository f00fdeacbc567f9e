"""PolEval 2025's hand-labelled pages (github.com/poleval/2025-document-layout) as pages with our classes.

    python -m judge.poleval ../target/poleval       # writes poleval_split.json: which documents are for development, which for the test
"""

import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from learn.shards import Page

SPLIT = Path(__file__).parent.parent / "poleval_split.json"

# DocLayNet's classes → ours.
OURS = {
    "Text": "text",
    "Footnote": "text",
    "Title": "title",
    "Section-header": "title",
    "List-item": "list",
    "Table": "table",
    "Picture": "figure",
    "Caption": "caption",
    "Page-header": "header_footer",
    "Page-footer": "header_footer",
    "Formula": "formula",
}


def document_of(file_name: str) -> str:
    """`images/Some document_07.jpg` → `Some document`"""
    return re.sub(r"_\d+$", "", Path(file_name).stem)


def split_of(document: str) -> str:
    """`dev` or `test`, by the document's name alone: pages of one document never are on both sides."""
    return ("dev", "test")[hashlib.sha256(f"docreader {document}".encode()).digest()[0] % 2]


def pages(folder: Path, split: str, classes: list[str]) -> list[Page]:
    folder, coco = _read(folder)
    documents = json.loads(SPLIT.read_text())[split]
    name = {category["id"]: category["name"] for category in coco["categories"]}
    of_image: dict[int, list] = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        x, y, w, h = annotation["bbox"]
        number = classes.index(OURS[name[annotation["category_id"]]])
        of_image[annotation["image_id"]].append((x, y, x + w, y + h, number))
    found = []
    for image in coco["images"]:
        if document_of(image["file_name"]) in documents:
            rows = np.array(of_image[image["id"]], dtype=np.float32).reshape(-1, 5)
            path, width, height = folder / image["file_name"], image["width"], image["height"]
            if width <= 1:
                # Five images say that they are 1 × 1 and have boxes in parts of their size.
                width, height = Image.open(path).size
                rows[:, :4] *= np.array([width, height, width, height])
            found.append(Page(path, width, height, rows[:, :4], rows[:, 4].astype(np.int64)))
    return found


def _read(folder: Path) -> tuple[Path, dict]:
    folder = folder / "poleval_doclaynet_coco_dev"
    if not folder.is_dir():
        raise SystemExit(f"{folder} is not there; get it with: git clone https://github.com/poleval/2025-document-layout {folder.parent}")
    return folder, json.loads((folder / "result.json").read_text())


def _main() -> None:
    _, coco = _read(Path(sys.argv[1]))
    split: dict[str, dict[str, int]] = {"dev": {}, "test": {}}
    for image in coco["images"]:
        document = document_of(image["file_name"])
        pages_of = split[split_of(document)]
        pages_of[document] = pages_of.get(document, 0) + 1
    SPLIT.write_text(json.dumps(split, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    for name, documents in split.items():
        print(f"{name}: {len(documents)} documents, {sum(documents.values())} pages")


if __name__ == "__main__":
    _main()
