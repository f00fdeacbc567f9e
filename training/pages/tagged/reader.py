"""Boxes of a tagged PDF's regions: its structure says which ink belongs together, the page's objects where that is, its pixels where exactly.

A page is taken whole or not at all: where ink is neither in the structure nor an artifact (ISO 32000-1, 14.8.2.2), or regions run into each
other, labels would teach what is wrong.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium

from ..sheet import Sheet
from .structure import regions

#: pixels a point when boxes are moved to the ink
SCALE = 2
CSS = 96 / 72 / SCALE
#: pixels around a region that show its background
RING = 3
#: levels by which ink differs from it
CONTRAST = 40
#: of a page's pieces of text, so many may be in no region
STRAY = 0.02
#: of the page's height at both ends, where artifacts are running heads and feet
MARGIN = 0.12


@dataclass
class Piece:
    """An object of the page: its box in pixels, the marked content that it belongs to (-1: none), whether it is text, and whether an artifact."""

    box: np.ndarray
    content: int
    text: bool
    artifact: bool


def sheets(pdf: bytes) -> list[Sheet]:
    """The labels of each sheet; one without boxes is not to be kept."""
    with pypdfium2.PdfDocument(pdf) as opened:
        return [_sheet(page) for page in opened]


def _sheet(page: pypdfium2.PdfPage) -> Sheet:
    width, height = (round(v * SCALE) for v in page.get_size())
    empty = Sheet(width * CSS, height * CSS, [])
    found = regions(page.raw)
    if not found:
        return empty
    pieces = _pieces(page, width, height)
    of = {content: number for number, region in enumerate(found) for content in region.contents}
    stray = [piece for piece in pieces if piece.text and not piece.artifact and piece.content not in of]
    if len(stray) > STRAY * sum(piece.text for piece in pieces):
        return empty
    groups: list[tuple[str, list[np.ndarray]]] = [(region.name, []) for region in found]
    for piece in pieces:
        if piece.content in of:
            groups[of[piece.content]][1].append(piece.box)
    parts = [(name, part) for name, boxes in groups for part in (_columns(boxes) if name in ("text", "list") else [boxes]) if part]
    parts += [("header_footer", line) for line in _furniture(pieces, height)]
    pixels = page.render(scale=SCALE, rev_byteorder=True).to_numpy()[:, :, :3].astype(np.int16)
    boxes = [(name, box) for name, part in parts if (box := _ink(pixels, _around(part)))]
    sheet = Sheet(empty.width, empty.height, [(name, [[v * CSS for v in box]]) for name, box in boxes])
    return empty if sheet.collides() else sheet


def _pieces(page: pypdfium2.PdfPage, width: int, height: int) -> list[Piece]:
    """The page's objects in the order in which they are painted; a form is one piece."""
    pieces = []
    for i in range(pdfium.FPDFPage_CountObjects(page.raw)):
        thing = pdfium.FPDFPage_GetObject(page.raw, i)
        edges = [ctypes.c_float() for _ in range(4)]
        if not pdfium.FPDFPageObj_GetBounds(thing, *edges):
            continue
        left, bottom, right, top = (edge.value for edge in edges)
        corners = [_pixel(page, width, height, x, y) for x, y in ((left, bottom), (right, top))]
        box = np.clip(np.array([np.min(corners, 0), np.max(corners, 0)]), 0, [width, height]).reshape(4)
        if (box[2:] <= box[:2]).any():
            continue
        kind = pdfium.FPDFPageObj_GetType(thing)
        text = kind in (pdfium.FPDF_PAGEOBJ_TEXT, pdfium.FPDF_PAGEOBJ_FORM)
        pieces.append(Piece(box, pdfium.FPDFPageObj_GetMarkedContentID(thing), text, _is_artifact(thing)))
    return pieces


def _pixel(page: pypdfium2.PdfPage, width: int, height: int, x: float, y: float) -> tuple[int, int]:
    column, row = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(page.raw, 0, 0, width, height, 0, x, y, column, row)
    return column.value, row.value


def _is_artifact(thing: pdfium.FPDF_PAGEOBJECT) -> bool:
    return any(_mark(pdfium.FPDFPageObj_GetMark(thing, i)) == "Artifact" for i in range(pdfium.FPDFPageObj_CountMarks(thing)))


def _mark(mark: pdfium.FPDF_PAGEOBJECTMARK) -> str:
    size, buffer = ctypes.c_ulong(), ctypes.create_string_buffer(64)
    if not pdfium.FPDFPageObjMark_GetName(mark, ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR)), len(buffer), size):
        return ""
    return buffer.raw[: max(0, size.value - 2)].decode("utf-16-le", "replace")


def _columns(boxes: list[np.ndarray]) -> list[list[np.ndarray]]:
    """A region's boxes, in reading order, by the columns that it runs through: a new one begins higher up and beside all before."""
    parts: list[list[np.ndarray]] = []
    for box in boxes:
        if parts:
            around = _around(parts[-1])
            if not (box[3] < parts[-1][-1][1] and (box[0] >= around[2] or box[2] <= around[0])):
                parts[-1].append(box)
                continue
        parts.append([box])
    return parts


def _furniture(pieces: list[Piece], height: int) -> list[list[np.ndarray]]:
    """Artifacts of text near the sheet's ends, word by word into lines; a wide gap parts a line."""
    near = [p.box for p in pieces if p.artifact and p.text and (p.box[3] < MARGIN * height or p.box[1] > (1 - MARGIN) * height)]
    lines: list[list[np.ndarray]] = []
    for box in sorted(near, key=lambda b: (b[0], b[1])):
        tall = box[3] - box[1]
        for line in lines:
            around = _around(line)
            level = min(around[3], box[3]) - max(around[1], box[1]) > 0.5 * min(tall, around[3] - around[1])
            if level and box[0] - around[2] < 2 * tall:
                line.append(box)
                break
        else:
            lines.append([box])
    return lines


def _around(boxes: list[np.ndarray]) -> np.ndarray:
    stacked = np.stack(boxes)
    return np.concatenate([stacked[:, :2].min(0), stacked[:, 2:].max(0)])


def _ink(pixels: np.ndarray, box: np.ndarray) -> list[float] | None:
    """The box of what differs from what is just around the region, or None if nothing does."""
    x0, y0, x1, y1 = box.astype(int)
    wide = pixels[max(0, y0 - RING) : y1 + RING, max(0, x0 - RING) : x1 + RING]
    ring = np.concatenate([wide[:RING].reshape(-1, 3), wide[-RING:].reshape(-1, 3), wide[:, :RING].reshape(-1, 3), wide[:, -RING:].reshape(-1, 3)])
    ink = (abs(pixels[y0:y1, x0:x1] - np.median(ring, axis=0)) > CONTRAST).any(2)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    if not len(rows):
        return None
    return [float(v) for v in (x0 + columns[0], y0 + rows[0], x0 + columns[-1] + 1, y0 + rows[-1] + 1)]
