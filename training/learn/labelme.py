"""labelme's files as a shard, so that pages labelled by hand are trained on like made ones.

    python -m learn.labelme labelled/ --out mine --classes text,title,table     # mine/shard-00000: for train.py --data mine
"""

import argparse
import json
import shutil
from pathlib import Path


def convert(folder: Path, out: Path, classes: list[str]) -> int:
    """Each shape becomes the box around its points; returns the number of pages. A label outside `classes` raises ValueError."""
    shard = out / "shard-00000"
    (shard / "images").mkdir(parents=True)
    images, annotations = [], []
    for number, file in enumerate(sorted(folder.glob("*.json"))):
        page = json.loads(file.read_text())
        source = file.parent / page["imagePath"]
        name = f"images/{number:05}{source.suffix.lower()}"
        shutil.copyfile(source, shard / name)
        images.append({"id": number, "file_name": name, "width": page["imageWidth"], "height": page["imageHeight"]})
        for shape in page["shapes"]:
            if shape["label"] not in classes:
                raise ValueError(f"{file}: label {shape['label']!r} is not among {', '.join(classes)}")
            xs, ys = zip(*shape["points"])
            box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": classes.index(shape["label"]) + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            )
    if not images:
        raise ValueError(f"{folder}: no labelme files (*.json) in it")
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(classes)]
    # Last: a shard with annotations is whole.
    (shard / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return len(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of labelme's JSON files, beside their images")
    parser.add_argument("--out", type=Path, required=True, help="folder for --data of train.py; must not hold a shard yet")
    parser.add_argument("--classes", required=True, help="names, separated by commas, in the order of TRAIN.CLASSES in the configuration")
    args = parser.parse_args()
    try:
        count = convert(args.folder, args.out, args.classes.split(","))
    except (ValueError, FileExistsError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"{count} pages in {args.out}")


if __name__ == "__main__":
    main()
