"""The command line: `python -m pages make|tagged|preview|count`, run from training/."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from .coco import CLASSES
from .layouts import KINDS, LATEX
from .make import SHARD, make, make_tagged
from .preview import pages_of, preview

EXAMPLES = """examples:
  python -m pages make --out /data/pages --count 10000 --seed 1 --processes 2
  python -m pages tagged exports/*.pdf --out /data/own           # pages of your own PDFs that Word or LibreOffice tagged
  python -m pages preview /data/pages --out sheet.png            # the first pages, boxes drawn in
  python -m pages preview /data/pages --out sheet.png --random 7 --kind invoice
  python -m pages count /data/pages                              # boxes by class, pages by kind
Install first: sh pages/setup.sh (Chromium, fonts, words, photographs; as root), pip install -r requirements-pages.txt."""


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    top = argparse.ArgumentParser(
        prog="python -m pages",
        description="Makes document pages with exact layout labels (COCO) by construction.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True)
    maker = commands.add_parser(
        "make", help="make pages", description=f"Makes shards of {SHARD} pages. Finished shards are skipped, so a broken run goes on where it was."
    )
    maker.add_argument("--out", type=Path, required=True, help="folder for shard-00000, shard-00001, …")
    maker.add_argument("--count", type=int, required=True, help="pages in all")
    maker.add_argument("--seed", type=int, default=0, help="the same seed makes the same pages; take another for validation pages (default 0)")
    maker.add_argument("--processes", type=int, default=1, help="shards made at once, about one core and 1 GB each (default 1)")
    maker.add_argument("--kind", choices=[*KINDS, LATEX], help="only documents of this kind (default all)")
    tagged = commands.add_parser(
        "tagged",
        help="take pages of tagged PDFs",
        description="Takes pages of PDFs whose producer tagged them (Word and LibreOffice do when they export): the tags become labels. "
        "Pages with ink outside the tags, or with regions that run into each other, are left out. Look at the result: labels are as true as the tags.",
    )
    tagged.add_argument("files", type=Path, nargs="+", metavar="PDF")
    tagged.add_argument("--out", type=Path, required=True, help="folder for shard-00000, shard-00001, …, one a file")
    tagged.add_argument("--seed", type=int, default=0, help="which pages are scanned, and how (default 0)")
    shower = commands.add_parser("preview", help="draw a contact sheet with boxes")
    shower.add_argument("folder", type=Path, help="folder of shards, or one shard")
    shower.add_argument("--out", type=Path, required=True, help="PNG to write")
    shower.add_argument("--count", type=int, default=24, help="pages to show (default 24)")
    shower.add_argument("--columns", type=int, default=6, help="pages in a row (default 6)")
    shower.add_argument("--size", type=int, default=420, help="longer side of each page in pixels (default 420)")
    shower.add_argument("--random", type=int, metavar="SEED", help="random pages instead of the first ones")
    shower.add_argument("--kind", help="only pages of this kind, such as invoice")
    counter = commands.add_parser("count", help="count boxes by class and pages by kind")
    counter.add_argument("folder", type=Path, help="folder of shards, or one shard")
    return top


def count(folder: Path) -> None:
    """Prints how many boxes of each class and pages of each kind there are."""
    pages = pages_of(folder)
    boxes = Counter(annotation["category_id"] for _, _, labels in pages for annotation in labels)
    for i, name in enumerate(CLASSES):
        print(f"{name:14}{boxes[i + 1]:8}")
    for key in ("kind", "language", "scanned"):
        print(f"{key}: " + ", ".join(f"{name} {n}" for name, n in Counter(str(image.get(key)) for _, image, _ in pages).most_common()))


def main() -> None:
    """Runs one command."""
    args = parser().parse_args()
    if args.command == "make":
        make(args.out, args.count, args.seed, args.processes, args.kind)
    elif args.command == "tagged":
        make_tagged(args.out, args.files, args.seed)
    elif args.command == "preview":
        preview(args.folder, args.out, args.count, args.columns, args.size, args.random, args.kind)
    else:
        count(args.folder)


if __name__ == "__main__":
    main()
