"""Figures that are more than one picture: several panels, frames, insets. Each is one label, as hand-labelled pages have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import photos

if TYPE_CHECKING:
    from .blocks import Doc

#: Rows and columns of panels, and how often
GRIDS = {(1, 2): 30, (1, 3): 14, (1, 4): 5, (2, 1): 12, (2, 2): 20, (2, 3): 9, (3, 1): 4, (3, 2): 5, (3, 3): 3}
NARROWEST = 95  # pixels of a panel
PLAIN = "text-indent:0;line-height:1.2;hyphens:manual"


def panels(doc: Doc, width: float, height: float, kind: str | None = None) -> str:
    """A figure of several panels, with letters or captions of their own, at most as large as it is told."""
    rng = doc.rng
    fitting = {grid: weight for grid, weight in GRIDS.items() if grid[1] * NARROWEST <= width and grid[0] * 70 <= height}
    rows, columns = rng.choices([*fitting], [*fitting.values()])[0] if fitting else (1, 1)
    gap = rng.choice([2, 6, 10, 16, 24])
    lettered = rng.choice(["no", "no", "below", "below", "above", "inside"])
    words = rng.random() < 0.5
    below = 0 if lettered in ("no", "inside") else 20
    w = (width - gap * (columns - 1)) / columns
    h = min((height - gap * (rows - 1)) / rows - below, w * rng.uniform(0.45, 1.1))
    alike = kind or (rng.choice(["photo", "chart", "drawing"]) if rng.random() < 0.8 else None)
    cells = ""
    for i in range(rows * columns):
        mark = f"({chr(97 + i)})" if rng.random() < 0.9 or not words else ""
        label = f"{mark} {doc.text.phrase(1, 4)[: int(w / 7)] if words else ''}"
        note = f"<div style='font-size:.85em;text-align:center;{PLAIN};height:{below}px;overflow:hidden'>{label}</div>" if below else ""
        picture = doc.picture(w, max(40, h), alike)
        if lettered == "inside":
            letter = f"<b style='position:absolute;left:3px;top:2px;background:#fff;color:#000;padding:0 3px;font-size:12px'>{chr(97 + i)}</b>"
            picture = f"<div style='position:relative'>{picture}{letter}</div>"
        cells += f"<div style='{PLAIN}'>{note + picture if lettered == 'above' else picture + note}</div>"
    return f"<div style='display:grid;grid-template-columns:repeat({columns},{w:.0f}px);gap:{gap}px;{PLAIN}'>{cells}</div>"


def inset(doc: Doc, width: float, height: float) -> str:
    """A picture with a smaller one in a corner."""
    rng = doc.rng
    part = rng.uniform(0.22, 0.4)
    corner = f"{rng.choice(['left', 'right'])}:{rng.randint(2, 14)}px;{rng.choice(['top', 'bottom'])}:{rng.randint(2, 14)}px"
    small = doc.picture(width * part, height * part)
    return (
        f"<div style='position:relative;width:{width:.0f}px'>{doc.picture(width, height)}"
        f"<div style='position:absolute;{corner};border:1px solid #333;background:#fff'>{small}</div></div>"
    )


def frame(doc: Doc, width: float, height: float, kind: str | None = None) -> str:
    """A picture within a frame or on a ground that belongs to it, perhaps with its heading, a legend, or where it is from inside."""
    rng, style = doc.rng, doc.style
    padding, line = rng.randint(4, 22), rng.choice([0, 1, 1, 1, 2, 4])
    ground = rng.choice(["#fff", "#fff", "#f4f4f4", "#eef3fa", "#faf6ea", style.tint])
    if not line and ground == "#fff":
        line = 1
    look = f"background:{ground};border:{line}px {rng.choice(['solid', 'solid', 'double', 'dashed'])} {rng.choice(['#333', '#999', style.accent])};"
    look += f"color:#222;padding:{padding}px;border-radius:{rng.choice([0, 0, 0, 6, 14])}px;box-sizing:border-box;width:{width:.0f}px;{PLAIN}"
    inner = width - 2 * (padding + line)
    room = max(50, height - 2 * (padding + line) - 44)
    head = f"<div style='font-weight:bold;font-size:.95em;text-align:center;margin-bottom:5px'>{doc.text.phrase(2, 6)}</div>" if rng.random() < 0.4 else ""
    foot = f"<div style='font-size:.75em;margin-top:4px'>{doc.text.word().capitalize()}: {doc.text.phrase(2, 7)}</div>" if rng.random() < 0.3 else ""
    if rng.random() < 0.3:
        keys = "".join(
            f"<span style='white-space:nowrap;margin-right:9px'><span style='display:inline-block;width:9px;height:9px;margin-right:3px;"
            f"background:{doc.charts.colour(i)}'></span>{doc.text.word()[:14]}</span>"
            for i in range(rng.randint(2, 4))
        )
        foot = f"<div style='font-size:.75em;text-align:center;margin-top:5px'>{keys}</div>" + foot
    picture = panels(doc, inner, room, kind) if rng.random() < 0.25 else doc.picture(inner, min(room, inner * rng.uniform(0.35, 0.9)), kind)
    return f"<div class=ink data-l=figure style='{look}'>{head}{picture}{foot}</div>"


def scheme(doc: Doc, width: float, height: float) -> str:
    """A small diagram of boxes with words in them, as leaflets and reports have them instead of a list."""
    rng, style = doc.rng, doc.style
    count = max(2, min(5, int(width / rng.uniform(85, 150))))
    dark = rng.random() < 0.4 and style.accent != style.ink
    box = f"border:1px solid {style.accent};background:{style.accent if dark else style.tint};color:{'#fff' if dark else 'inherit'}"
    arrow = rng.choice(["→", "▶", "–", "⇒", "", "+"])
    rows = rng.choice([1, 1, 1, 2, 3])
    radius = rng.choice([0, 0, 5, 30])
    out = ""
    for _ in range(rows):
        cells = [
            f"<div class=ink style='{box};border-radius:{radius}px;padding:{rng.randint(4, 12)}px;flex:1;text-align:center;font-size:.85em;overflow:hidden'>"
            f"{doc.text.phrase(1, 5)}</div>"
            for _ in range(count)
        ]
        out += f"<div style='display:flex;gap:6px;align-items:center;margin-bottom:8px;{PLAIN}'>{f'<span>{arrow}</span>'.join(cells)}</div>"
    photo = photos.photo(rng, width * 0.3, min(height * 0.3, width * 0.25)) if rng.random() < 0.15 else ""
    return f"<div style='overflow-wrap:anywhere;{PLAIN}'>{photo}{out}</div>"
