"""Puts blocks on a page: margins, running heads and feet, columns that are filled until they are full."""

from __future__ import annotations

import re
from random import Random

from ..blocks import Doc

TAGS = re.compile(r"<style>.*?</style>|<[^>]+>", re.S)


class Furniture:
    """A document's running heads and feet: the same on each of its pages but for the page number."""

    def __init__(self, doc: Doc, chance: float = 0.8) -> None:
        rng = doc.rng
        self.doc = doc
        self.bottom = rng.random() < chance
        self.rule_top, self.rule_bottom = rng.random() < 0.35, rng.random() < 0.2
        self.size = rng.uniform(0.72, 0.95)
        self.css = rng.choices(
            [
                "",
                "font-style:italic",
                "text-transform:uppercase;letter-spacing:.05em",
                "font-variant:small-caps",
                "color:#666",
                f"color:{doc.style.accent}",
            ],
            [50, 12, 8, 6, 14, 10],
        )[0]
        self.title, self.author = doc.text.phrase(2, 7), doc.text.name()
        self.number = rng.choice(["{n}", "{n}", "{n}", "– {n} –", "{p} {n}", "{p} {n} / {t}", "[{n}]", "{n} | {a}"])
        self.slots_top = rng.choice(
            [["title"], ["title", "number"], ["author", "title"], ["number", "title"], ["center"], ["number"], ["author", "", "number"]]
        )
        self.slots_bottom = rng.choice(
            [
                ["", "number", ""],
                ["", "number", ""],
                ["", "number"],
                ["number"],
                ["title", "number"],
                ["long"],
                ["author", "number", "title"],
                ["long", "number"],
            ]
        )
        self.logo = doc.drawings.logo(rng.uniform(18, 30)) if rng.random() < 0.08 else ""
        self.words = {"title": self.title, "author": self.author, "center": self.title, "long": f"{doc.text.phrase(3, 9)} {doc.text.mail()}"}
        self.top = rng.random() < chance * 0.8
        self.partners = [doc.drawings.logo(rng.uniform(20, 42)) for _ in range(rng.randint(2, 5))] if not self.top and rng.random() < 0.15 else []
        self.mirrored = rng.random() < 0.35

    def line(self, slots: list[str], flip: bool) -> str:
        """The slots of one head or foot; each is a label of its own."""
        doc = self.doc
        number = self.number.format(n=doc.page, p=doc.text.names[2], t=doc.page + 20, a=self.author)
        cells = [number if slot == "number" else self.words.get(slot, "") for slot in slots]
        if flip:
            cells.reverse()
        justify = "center" if slots == ["center"] else "space-between"
        if flip and len(slots) == 1 and justify != "center":
            justify = "flex-end"
        spans = "".join(f"<span{' data-l=header_footer' if cell else ''}>{cell}</span>" for cell in cells)
        return f"<div style='display:flex;gap:12px;justify-content:{justify}'>{spans}</div>"

    def make(self, width: float, height: float) -> str:
        """Head and foot of the current page, within the margins' middle thirds."""
        style = self.doc.style
        top, right, bottom, left = style.margins
        flip = self.mirrored and self.doc.page % 2 == 0
        base = f"left:{left}px;width:{width - left - right:.0f}px;font-size:{self.size:.2f}em;line-height:1.2;text-indent:0;hyphens:manual;{self.css}"
        out = ""
        if self.top:
            rule = "border-bottom:1px solid currentColor;padding-bottom:3px;" if self.rule_top else ""
            logo = (
                f"<div class=at data-l=figure style='left:{left}px;top:{max(4, top * 0.12):.0f}px'>{self.logo}</div>"
                if self.logo and not flip
                else ""
            )
            out += f"<div class=at style='{base};bottom:{height - top * 0.78:.0f}px;{rule}'>{self.line(self.slots_top, flip)}</div>{logo}"
        if self.partners:  # sponsors' marks in a row, each a figure
            marks = "".join(f"<div data-l=figure>{mark}</div>" for mark in self.partners)
            out += f"<div class=at style='left:{left}px;width:{width - left - right:.0f}px;top:{max(4, top * 0.15):.0f}px;display:flex;justify-content:space-between;align-items:center'>{marks}</div>"
        if self.bottom:
            rule = "border-top:1px solid currentColor;padding-top:3px;" if self.rule_bottom else ""
            out += f"<div class=at style='{base};top:{height - bottom * 0.72:.0f}px;{rule}'>{self.line(self.slots_bottom, flip)}</div>"
        return out


def region(
    x: float,
    y: float,
    width: float,
    height: float,
    body: str,
    columns: int = 1,
    gap: float = 20,
    top: str = "",
    bottom: str = "",
    css: str = "",
    rule: str = "",
) -> str:
    """A rectangle of the page: `top`, a flow in columns that takes what is left, `bottom`; `rule` is the colour of lines between columns."""
    rules = ""
    if rule and columns > 1:  # drawn by hand: `column-rule` would also draw one before the clipped columns
        middles = [f"calc((100% + {gap:.0f}px) * {i / columns:.5f} - {gap / 2:.1f}px)" for i in range(1, columns)]
        stops = ",".join(f"transparent {m},{rule} {m},{rule} calc({m} + 1px),transparent calc({m} + 1px)" for m in middles)
        rules = f";background:linear-gradient(to right,{stops})"
    flow = f"<div class=flow style='column-count:{columns};column-gap:{gap:.0f}px{rules}'>{body}</div>"
    return (
        f"<div class=main style='left:{x:.0f}px;top:{y:.0f}px;width:{width:.0f}px;height:{height:.0f}px;{css}'>"
        f"{f'<div class=top>{top}</div>' if top else ''}{flow}{f'<div class=bot>{bottom}</div>' if bottom else ''}</div>"
    )


def page(doc: Doc, furniture: Furniture | None, body: str, columns: int | None = None, top: str = "", bottom: str = "") -> str:
    """A page whose margins' inside is one region."""
    style = doc.style
    y, _, _, x = style.margins
    width, height = style.inner
    doc.page += 1
    main = region(x, y, width, height, body, columns or style.columns, style.gap, top, bottom, rule=style.rule)
    return (furniture.make(style.width, style.height) if furniture else "") + main


def sheet(doc: Doc, halves: list[str], css: str = "") -> str:
    """One sheet of paper with one page, or with two pages side by side (a scanned spread)."""
    style = doc.style
    if len(halves) == 1:
        return f"<section class=sheet lang={style.lang} style='{css}'>{halves[0]}</section>"
    inner = "".join(f"<div class=half style='left:{i * style.width}px;width:{style.width}px'>{half}</div>" for i, half in enumerate(halves))
    return f"<section class=sheet lang={style.lang} style='width:{2 * style.width}px;{css}'>{inner}</section>"


def block(doc: Doc, kind: str, width: float, height: float) -> tuple[str, float]:
    """A block of a kind and its height in pixels, roughly."""
    style, rng = doc.style, doc.rng
    line = style.size * style.leading
    if kind in ("table", "figure"):
        room = min(height * 0.92, rng.choice([rng.uniform(0.1, 0.4), rng.uniform(0.15, 0.65), 0.92]) * height + 50)
        return (doc.table if kind == "table" else doc.figure)(width, room), room * 0.8
    maker = {
        "text": doc.paragraph,
        "h1": lambda: doc.heading(1),
        "h2": lambda: doc.heading(2),
        "h3": lambda: doc.heading(3),
        "list": doc.items,
        "steps": lambda: doc.items(numbered=True, long=True),
        "formula": doc.equation,
        "code": doc.code,
        "quote": doc.quote,
        "pull": doc.pull,
        "icon": doc.icon,
        "reference": lambda: doc.items(rng.randint(5, 14), True),
        "panel": lambda: doc.panel(doc.heading(3) + doc.paragraph(rng.randint(80, 350))),
        "pairs": lambda: doc.flat([f"<b>{doc.text.phrase(1, 3)}:</b> {doc.text.phrase(1, 5)}" for _ in range(rng.randint(1, 5))]),
    }[kind]
    html = maker()
    if kind == "formula":
        return html, 3 * line
    return html, max(1.5, len(TAGS.sub("", html)) * style.size * 0.46 / width) * line


def fill(doc: Doc, weights: dict[str, float], width: float, height: float, columns: int = 1) -> str:
    """Blocks for `columns` columns of the given size, somewhat more than fit; what is too much is clipped, unlabelled."""
    rng = doc.rng
    out, used, last = [], 0.0, ""
    if rng.random() < 0.45:  # the end of a paragraph that began on the page before
        out.append(f"<div class=p data-l=text style='text-indent:0'>{doc.running(rng.randint(40, 500))}</div>")
    while used < 1.2 * height * columns:
        kind = rng.choices(list(weights), list(weights.values()))[0]
        if last in ("h1", "h2") and kind[0] == "h" and kind <= last:
            kind = "text"
        if kind in ("table", "figure") and last == kind:
            kind = "text"
        html, tall = block(doc, kind, width, height)
        out.append(html)
        used += tall
        last = kind
    return "".join(out)


def shorten(rng: Random, html: str, chance: float) -> str:
    """Now and then only the first blocks: the last page of a chapter is mostly white."""
    if rng.random() >= chance:
        return html
    pieces = re.split(r"(?=<p |<div class=(?:unit|h1|h2|h3))", html)
    return "".join(pieces[: rng.randint(1, max(1, min(6, len(pieces) - 1)))])
