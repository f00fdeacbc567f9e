"""Shards as a packed set that is small enough to travel: small AVIF pages in one file, their boxes in another.

    python -m gpu.pack --data ../target/pages/b --held-out ../target/pages/held-out --out ../.gpu/set --mib 50

Bytes go to the letters, so pages differ in size and quality: a low quality teaches layout as well, and more pages teach more of it.
The same shards make the same set.
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import random
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from detectron import config, image
from learn import shards

PAGES, LABELS, MANIFEST = "pages.bin", "labels.npz", "manifest.json"
# The longer side of a page in pixels, and AVIF's quality, drawn for each page; at the same look WebP takes nearly twice the bytes.
LONGER, QUALITY = (656, 816), (17, 30)
# Boxes are kept in parts of a pixel.
PARTS = 32
SEED = 1


def shrink(job: tuple[shards.Page, int]) -> tuple[bytes, tuple[int, int], np.ndarray]:
    """A page as AVIF, its height and width there, and its boxes there [G, 4]."""
    page, seed = job
    dice = random.Random(seed)
    opened = image.rgb(Image.open(page.path))
    scale = min(1.0, dice.randint(*LONGER) / max(opened.size))
    width, height = (max(1, round(side * scale)) for side in opened.size)
    buffer = io.BytesIO()
    small = opened.resize((width, height), Image.Resampling.BILINEAR)
    small.save(buffer, "AVIF", quality=dice.randint(*QUALITY), speed=8, max_threads=1)
    factor = np.array([width / page.width, height / page.height] * 2, dtype=np.float32)
    return buffer.getvalue(), (height, width), page.boxes * factor


def write(out: Path, pages: list[shards.Page], held_out: list[shards.Page], classes: list[str], room: int, processes: int) -> int:
    """Packs the held-out pages and then as many of `pages`, in their order, as fit in `room` bytes; returns how many pages there are."""
    out.mkdir(parents=True, exist_ok=True)
    held_out = [page for page in held_out if len(page.boxes)]
    chosen = held_out + pages
    lengths, sizes, counts, boxes, labels = [], [], [], [], []
    with (out / PAGES).open("wb") as file, multiprocessing.get_context("fork").Pool(processes) as pool:
        jobs = ((page, SEED + number) for number, page in enumerate(chosen))
        for page, (data, size, moved) in zip(tqdm(chosen, unit="page"), pool.imap(shrink, jobs, chunksize=8)):
            if file.tell() + len(data) > room:
                pool.terminate()
                break
            file.write(data)
            lengths.append(len(data))
            sizes.append(size)
            counts.append(len(moved))
            boxes.append(np.round(moved * PARTS).astype(np.int16))
            labels.append(page.classes.astype(np.uint8))
    np.savez(
        out / LABELS,
        lengths=np.array(lengths, np.int32),
        sizes=np.array(sizes, np.int16).reshape(-1, 2),
        counts=np.array(counts, np.int16),
        boxes=np.concatenate(boxes),
        classes=np.concatenate(labels),
    )
    sums = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in (PAGES, LABELS)}
    manifest = {"classes": classes, "pages": len(lengths), "held_out": min(len(held_out), len(lengths)), "sha256": sums}
    (out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return len(lengths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, help="folder of shards; may be given again")
    parser.add_argument("--held-out", help="folder of shards that are not trained on; their loss is logged")
    parser.add_argument("--held-out-pages", type=int, default=64, help="how many of them (default 64)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the set")
    parser.add_argument("--mib", type=float, default=50, help="how large the set may be (default 50)")
    parser.add_argument("--processes", type=int, default=2, help="default 2")
    parser.add_argument("--config", default=Path(__file__).parent.parent / "configs/medium.yaml", help="for TRAIN.CLASSES")
    args = parser.parse_args()
    classes = config.read(args.config).TRAIN.CLASSES
    pages = [page for page in shards.scan(args.data, classes) if len(page.boxes)]
    random.Random(SEED).shuffle(pages)
    held_out = shards.scan([args.held_out], classes)[: args.held_out_pages] if args.held_out else []
    # Labels take about 300 bytes a page.
    room = int(args.mib * 2**20) - 300 * len(pages)
    count = write(args.out, pages, held_out, classes, room, args.processes)
    size = sum(file.stat().st_size for file in args.out.iterdir()) / 2**20
    print(f"{count} of {len(pages) + len(held_out)} pages, {size:.1f} MiB in {args.out}")


if __name__ == "__main__":
    main()
