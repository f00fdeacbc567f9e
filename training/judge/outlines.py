"""How many headings of real PDFs are found: an outline (bookmarks) says where a document's headings are, with no labelling by hand.

    python -m judge.outlines --model ../models/default /usr/share/doc/texlive-doc/latex/*/*.pdf

A heading counts as found if a region of the class `title` overlaps its line by half. Outlines rarely have all headings, so this is a recall only.
Needs pypdfium2 (requirements-pages.txt).
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
from tqdm import tqdm

from . import product
from .score import iou

HERE = Path(__file__).parent
#: points above and below an entry's destination in which its words may stand
ABOVE, BELOW = 12, 60


@dataclass
class Heading:
    """A heading's words and its line's box (x0, y0, x1, y1) in points from the page's upper left corner; pages count from 0."""

    words: str
    page: int
    box: list[float]


@dataclass
class Letter:
    character: str
    box: list[float]


def headings(pdf: pypdfium2.PdfDocument) -> list[Heading]:
    """The outline's entries whose words stand at their destinations."""
    found, letters = [], {}
    for entry in pdf.get_toc():
        target = entry.get_dest()
        page = target.get_index() if target else None
        if page is None or page >= len(pdf):
            continue
        if page not in letters:
            letters[page] = _letters(pdf[page])
        view, position = target.get_view()
        high = pdf[page].get_height() - position[1] if view == pypdfium2.raw.PDFDEST_VIEW_XYZ and len(position) > 1 else None
        if box := _place(entry.get_title(), letters[page], high):
            found.append(Heading(entry.get_title(), page, box))
    return found


def _letters(page: pypdfium2.PdfPage) -> list[Letter]:
    """All that is no space, in reading order."""
    text, height, found = page.get_textpage(), page.get_height(), []
    for i, character in enumerate(text.get_text_range(0, text.count_chars())[: text.count_chars()]):
        if not character.isspace():
            left, bottom, right, top = text.get_charbox(i)
            found.append(Letter(character.casefold()[:1], [left, height - top, right, height - bottom]))
    return found


def _place(title: str, letters: list[Letter], high: float | None) -> list[float] | None:
    """The line where `title` stands: the only one, or the one nearest to the destination."""
    wanted = "".join(c.casefold()[:1] for c in title if not c.isspace())
    page = "".join(letter.character for letter in letters)
    places, at = [], page.find(wanted) if len(wanted) > 1 else -1
    while at >= 0:
        box = _around([letter.box for letter in letters[at : at + len(wanted)]])
        if high is None or -ABOVE < box[1] - high < BELOW:
            places.append((abs(box[1] - high) if high is not None else 0.0, at, box))
        at = page.find(wanted, at + 1)
    if not places or (high is None and len(places) > 1):
        return None
    _, first, box = min(places)
    # A section's number is often missing in the outline.
    for letter in reversed(letters[:first]):
        near = box[0] - letter.box[2] < 3 * (box[3] - box[1]) and letter.box[2] <= box[0] + 1
        if not near or not box[1] < (letter.box[1] + letter.box[3]) / 2 < box[3]:
            break
        box = _around([box, letter.box])
    return box


def _around(boxes: list[list[float]]) -> list[float]:
    x0, y0, x1, y1 = zip(*boxes)
    return [min(x0), min(y0), max(x1), max(y1)]


def judge(app: Path, model: Path, file: Path, score: float) -> tuple[int, list[tuple[Heading, str]]]:
    """How many headings could be placed, and those that are missed, each with what is there instead."""
    with pypdfium2.PdfDocument(file) as pdf:
        wanted = headings(pdf)
    if not wanted:
        return 0, []
    regions = {page["page"] - 1: page["detections"] for page in product.run(app, model, file, score)}
    missed = []
    for heading in wanted:
        there = [d["label"] for d in regions.get(heading.page, []) if iou(d["box_pt"], heading.box) >= 0.5]
        if "title" not in there:
            missed.append((heading, there[0] if there else "nothing"))
    return len(wanted), missed


def main() -> None:
    parser = argparse.ArgumentParser(description="The share of real PDFs' headings that a model finds, as their outlines have them")
    parser.add_argument("files", type=Path, nargs="+", metavar="PDF", help="those without an outline are left out")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--app", type=Path, default=HERE.parent.parent / "target/release/app", help="docreader's binary (default the release build)")
    parser.add_argument("--score", type=float, default=0.5, help="regions below it are not looked at (default 0.5)")
    parser.add_argument("--missed", action="store_true", help="print each heading that is missed")
    args = parser.parse_args()
    placed = lost = documents = 0
    for file in tqdm(args.files, unit="file", leave=False):
        try:
            count, missed = judge(args.app, args.model, file, args.score)
        except (RuntimeError, pypdfium2.PdfiumError) as error:
            tqdm.write(f"{file}: {error}")
            continue
        if count:
            documents, placed, lost = documents + 1, placed + count, lost + len(missed)
            tqdm.write(f"{file.name}: {count - len(missed)} of {count}")
        if args.missed:
            for heading, instead in missed:
                tqdm.write(f"    page {heading.page + 1}: {heading.words} ({instead})")
    if not placed:
        raise SystemExit("no file has an outline whose headings could be placed")
    print(f"{placed - lost} of {placed} headings found ({(placed - lost) / placed:.3f}) in {documents} documents")


if __name__ == "__main__":
    main()
