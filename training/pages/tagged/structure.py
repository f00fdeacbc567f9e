"""A page's structure tree (ISO 32000-1, 14.7 and 14.8) as regions: a class, and the marked content that belongs to it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field

import pypdfium2.raw as pdfium

#: standard structure type -> our class
CLASS_OF = {
    **dict.fromkeys(["Title", "H", "H1", "H2", "H3", "H4", "H5", "H6"], "title"),
    **dict.fromkeys(["P", "Note", "FENote", "Code", "BibEntry"], "text"),
    "LI": "list",
    "Table": "table",
    "TOC": "table",
    "Figure": "figure",
    "Caption": "caption",
    "Formula": "formula",
}
#: what is a region of its own even inside another region of these classes; a paragraph in a list item is not
INSIDE = {
    "text": {"Note", "FENote", "Figure", "Table", "LI"},
    "title": {"Note", "FENote", "Figure"},
    "list": {"LI", "Note", "FENote", "Figure", "Table", "Formula"},
    "table": {"Caption"},
    "figure": {"Caption"},
    "caption": {"Figure", "Table"},
    "formula": set(),
}


@dataclass
class Region:
    """A class and the ids of the marked content that is its ink."""

    name: str
    contents: list[int] = field(default_factory=list)


def regions(page: pdfium.FPDF_PAGE) -> list[Region]:
    """The regions of a page in reading order; none if the page has no structure."""
    tree = pdfium.FPDF_StructTree_GetForPage(page)
    if not tree:
        return []
    try:
        found: list[Region] = []
        for i in range(pdfium.FPDF_StructTree_CountChildren(tree)):
            child = pdfium.FPDF_StructTree_GetChildAtIndex(tree, i)
            if child:
                _walk(child, None, found, 0)
        return [region for region in found if region.contents]
    finally:
        pdfium.FPDF_StructTree_Close(tree)


#: deeper trees are damaged or hostile
DEEPEST = 200


def _walk(element: pdfium.FPDF_STRUCTELEMENT, owner: Region | None, found: list[Region], depth: int) -> None:
    kind = _kind(element)
    name = CLASS_OF.get(kind)
    if name and (owner is None or kind in INSIDE[owner.name]):
        owner = Region(name)
        found.append(owner)
    for child, content in _children(element):
        if child is not None and depth < DEEPEST:
            _walk(child, owner, found, depth + 1)
        elif content >= 0:
            if owner is None:  # ink directly in a section or a division
                owner = Region("text")
                found.append(owner)
            owner.contents.append(content)


def _children(element: pdfium.FPDF_STRUCTELEMENT) -> Iterator[tuple[pdfium.FPDF_STRUCTELEMENT | None, int]]:
    """Elements, or marked content of this page (an id from 0 on)."""
    for i in range(pdfium.FPDF_StructElement_CountChildren(element)):
        child = pdfium.FPDF_StructElement_GetChildAtIndex(element, i)
        yield (child, -1) if child else (None, pdfium.FPDF_StructElement_GetChildMarkedContentID(element, i))


def _kind(element: pdfium.FPDF_STRUCTELEMENT) -> str:
    """The type after the document's role map."""
    size = pdfium.FPDF_StructElement_GetType(element, None, 0)
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDF_StructElement_GetType(element, buffer, size)
    return buffer.raw[: max(0, size - 2)].decode("utf-16-le", "replace")
