"""Kinds of documents and how often each occurs."""

from __future__ import annotations

from random import Random

from ..blocks import Doc
from ..style import Style, css
from .flows import Flows
from .office import Office
from .press import Press
from .slides import Slides

#: kind -> (how often, the maker of its pages, fewest and most pages of a document)
KINDS: dict[str, tuple[float, type, int, int]] = {
    "paper": (13, Flows, 3, 8),
    "report": (14, Flows, 3, 8),
    "book": (9, Flows, 3, 8),
    "manual": (8, Flows, 3, 7),
    "legal": (12, Flows, 3, 7),
    "patent": (2, Flows, 3, 6),
    "exam": (3, Flows, 2, 5),
    "reference": (3, Flows, 2, 4),
    "contents": (4, Flows, 2, 4),
    "letter": (6, Office, 2, 5),
    "invoice": (4, Office, 2, 5),
    "form": (5, Office, 2, 5),
    "tables": (6, Office, 2, 5),
    "cover": (3, Office, 2, 4),
    "magazine": (7, Press, 2, 6),
    "newspaper": (5, Press, 2, 4),
    "brochure": (7, Press, 2, 5),
    "slides": (6, Slides, 3, 8),
}
#: Pages that ..latex makes, and how often
LATEX, LATEX_SHARE = "latex", 9


def draw_kind(rng: Random) -> str:
    """A kind of document, as often as KINDS and LATEX_SHARE say."""
    return rng.choices([*KINDS, LATEX], [*(row[0] for row in KINDS.values()), LATEX_SHARE])[0]


def document(rng: Random, kind: str) -> tuple[Style, str]:
    """A document of one of KINDS: its style and its HTML, ready for Chromium."""
    _, maker, fewest, most = KINDS[kind]
    doc = Doc(rng, kind)
    sheets = maker(doc).make(rng.randint(fewest, most))
    style = doc.style
    page_css = css(style)
    if "class=half" in sheets[0]:  # a spread: the paper is two pages wide
        page_css = page_css.replace(f"size:{style.width}px", f"size:{2 * style.width}px")
    return style, f"<!doctype html><html><head><meta charset=utf-8><style>{page_css}</style></head><body>{''.join(sheets)}</body></html>"
