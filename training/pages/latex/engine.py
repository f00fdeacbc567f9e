"""Runs LaTeX twice over a document: in black, which becomes the pages, and with each label's ink in a colour of its own, which becomes the boxes.

Both runs break lines and pages alike, since colours take no room; so the boxes are exact whatever floats, breaks or moves.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from random import Random

import numpy as np
import pypdfium2 as pdfium

from ..sheet import Sheet
from .writer import Source, write

SECONDS = 300  # one takes a second or two; a busy machine must not change what is made
#: of a document, so that it is one of many
PAGES = 6
#: pixels a point when boxes are read
SCALE = 2
CSS = 96 / 72 / SCALE
LINE = 10 * SCALE


def render(rng: Random) -> tuple[str, bytes, list[Sheet]]:
    """The language of a document, its PDF and the labels of its sheets."""
    source = write(rng)
    with tempfile.TemporaryDirectory(prefix="latex-") as folder:
        pages = run(Path(folder), source.text(black=True))
        coloured = run(Path(folder), source.text(black=False))
    with pdfium.PdfDocument(coloured) as opened:
        sheets = [read(page, source) for page in opened]
    # Sheets without boxes are not kept: beyond the first ones, and where something runs into its neighbour.
    return source.lang, pages, [sheet if number < PAGES and not sheet.collides() else sheet.emptied() for number, sheet in enumerate(sheets)]


def run(folder: Path, text: str) -> bytes:
    """XeLaTeX, once. Raises RuntimeError with the log's first complaint."""
    (folder / "page.tex").write_text(text)
    command = ["xelatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "page.tex"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
    if done.returncode:
        log = done.stdout.decode("utf-8", "replace")
        raise RuntimeError("LaTeX: " + next((line for line in log.splitlines() if line.startswith("!") or "fatal" in line), log[-300:]))
    return (folder / "page.pdf").read_bytes()


def read(page: pdfium.PdfPage, source: Source) -> Sheet:
    """The boxes of a page out of its colours."""
    bitmap = page.render(scale=SCALE, rev_byteorder=True, no_smoothtext=True, no_smoothimage=True, no_smoothpath=True)
    pixels = bitmap.to_numpy()[:, :, :3].astype(np.int32)
    codes = pixels[:, :, 0] << 16 | pixels[:, :, 1] << 8 | pixels[:, :, 2]
    rows, columns = np.nonzero(codes != 0xFFFFFF)
    codes = codes[rows, columns]
    height, width = pixels.shape[:2]
    boxes = []
    for code in np.unique(codes).tolist():
        name = source.names.get(code)
        if name is None:
            continue
        x, y = columns[codes == code], rows[codes == code]
        for part in split(x, y, source.columns, width):
            box = [x[part].min(), y[part].min(), x[part].max() + 1, y[part].max() + 1]
            boxes.append((name, [[float(v) * CSS for v in box]]))
    return Sheet(width * CSS, height * CSS, boxes)


def split(x: np.ndarray, y: np.ndarray, columns: int, width: int) -> list[np.ndarray]:
    """Which pixels are in the left and in the right column, of what goes on from one to the other."""
    gutter = (x > width / 2 - 4) & (x < width / 2 + 4)
    left = x < width / 2
    whole = [np.ones(len(x), bool)]
    if columns == 1 or gutter.any() or left.all() or not left.any():
        return whole
    # Halves at the same height are a title over both columns whose words happen to part there.
    beside = abs(y[left].min() - y[~left].min()) < LINE and abs(y[left].max() - y[~left].max()) < LINE
    return whole if beside else [left, ~left]
