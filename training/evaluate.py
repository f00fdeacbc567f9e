"""Judges a model through docreader: `app detect` on each page, then COCO's average precision.

    python evaluate.py --model run --data held-out-pages             # on pages that pages/ made with another seed
    python evaluate.py --model run --poleval ../target/poleval       # on hand-labelled pages, the half for development
"""

import argparse
import json
from pathlib import Path

from judge import pictures, poleval, product, score
from learn import shards

HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Average precision of a model, measured through docreader (app detect)")
    parser.add_argument("--model", type=Path, required=True, help="the model's folder: train.py's RUN, or what app model import wrote")
    pages = parser.add_mutually_exclusive_group(required=True)
    pages.add_argument("--data", help="folder of shards that no training saw")
    pages.add_argument("--poleval", type=Path, metavar="DIR", help="checkout of github.com/poleval/2025-document-layout")
    parser.add_argument("--split", choices=("dev", "test"), default="dev", help="half of PolEval's documents, as poleval_split.json has it. "
                        "Decide by dev; look at test only for the figure that is published (default dev)")
    parser.add_argument("--app", type=Path, default=HERE.parent / "target/release/app", help="docreader's binary (default the release build)")
    parser.add_argument("--pages", type=int, help="only so many pages, evenly spread")
    parser.add_argument("--score-threshold", type=float, default=0.02, help="regions below it are not looked at (default 0.02)")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw the worst pages: truth left, found right")
    parser.add_argument("--pictures-count", type=int, default=20, help="how many (default 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    classes = (args.model / "classes.txt").read_text().split()
    pages = poleval.pages(args.poleval, args.split, classes) if args.poleval else shards.scan([args.data], classes)
    if args.pages:
        pages = pages[:: max(1, len(pages) // args.pages)][: args.pages]
    found = product.detect(args.app, args.model, pages, args.score_threshold)
    rows = score.average_precision(pages, found, classes)
    of = f"PolEval, {args.split}" if args.poleval else args.data
    print(f"{args.model} on {of}: {len(pages)} pages\n\n{score.table(rows)}")
    if args.json:
        figures = {"model": str(args.model), "pages": len(pages), "of": of, "rows": [vars(row) for row in rows]}
        args.json.write_text(json.dumps(figures, indent=1) + "\n")
    if args.pictures:
        pictures.draw_worst(args.pictures, pages, found, classes, args.pictures_count)
        print(f"\nThe worst pages are drawn in {args.pictures}")


if __name__ == "__main__":
    main()
