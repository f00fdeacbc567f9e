"""Slides: a title and few words, lists, pictures, tables; one look for the whole talk."""

from __future__ import annotations

from ..blocks import Doc
from .page import Furniture, fill, region, sheet


class Slides:
    """Page makers for one talk."""

    def __init__(self, doc: Doc) -> None:
        self.doc, self.rng, self.style, self.text = doc, doc.rng, doc.style, doc.text
        rng, style = doc.rng, doc.style
        style.margins = (round(style.height * 0.06), round(style.width * 0.06), round(style.height * 0.1), round(style.width * 0.06))
        self.furniture = Furniture(doc, 0.7)
        self.furniture.top = False
        self.band = rng.random() < 0.35
        self.band_colour = style.accent if rng.random() < 0.7 else style.tint
        self.align = rng.choice(["start", "start", "center"])
        self.scale = rng.uniform(1.3, 1.9)
        self.logo = doc.drawings.logo(rng.uniform(24, 44)) if rng.random() < 0.4 else ""

    def title(self, words: str) -> tuple[str, float]:
        """The title of a slide and the height that it takes."""
        style = self.style
        size = style.size * self.scale
        tall = size * 1.2 + style.margins[0] + 12
        ink = "white" if self.band and self.band_colour == style.accent else style.accent
        band = f"background:{self.band_colour};" if self.band else ""
        family = style.head.replace("'", '"')
        return (
            f"<div class=at style='left:0;top:0;width:100%;height:{tall:.0f}px;{band}padding:{style.margins[0]:.0f}px {style.margins[1]}px 0'>"
            f"<div data-l=title style='font-family:{family};font-size:{size:.0f}px;line-height:1.2;font-weight:bold;white-space:nowrap;text-align:{self.align};color:{ink}'>{words}</div></div>",
            tall + 14,
        )

    def words(self, width: float) -> str:
        """A title short enough for one line."""
        limit = int(width / (self.style.size * self.scale * 0.62))
        words = self.text.phrase(1, 6)
        return words if len(words) < limit else words[:limit].rsplit(" ", 1)[0]

    def opening(self) -> str:
        """Title slide."""
        rng, style = self.rng, self.style
        align = rng.choice(["center", "start"])
        family = style.head.replace("'", '"')
        inner = (
            f"<div style='height:{rng.uniform(0.12, 0.35) * style.inner[1]:.0f}px'></div><div data-l=title style='font-family:{family};font-size:{self.scale * 1.4:.2f}em;"
            f"line-height:1.15;font-weight:bold;text-align:{align};color:{style.accent};margin-bottom:.5em'>{self.text.phrase(2, 7)}</div>"
        )
        if rng.random() < 0.5:
            inner += self.doc.flat([self.text.phrase(3, 9)], f"text-align:{align};margin-bottom:1em")
        inner += self.doc.flat([self.text.name(), self.text.company()], f"text-align:{align};font-size:.85em;margin-bottom:.6em")
        if rng.random() < 0.6:
            inner += self.doc.flat([self.text.date()], f"text-align:{align};font-size:.8em")
        top, _, _, left = style.margins
        return region(left, top, *style.inner, inner)

    def slide(self) -> str:
        """A slide of one or two areas."""
        rng, style, doc = self.rng, self.style, self.doc
        head, used = self.title(self.words(style.inner[0]))
        width, left = style.inner[0], style.margins[3]
        height = style.height - style.margins[2] - used
        areas = rng.choice([1, 1, 2, 2, 2])
        gap = 28
        share = rng.choice([0.5, 0.5, 0.4, 0.6])
        widths = [width] if areas == 1 else [(width - gap) * share, (width - gap) * (1 - share)]
        x, out = left, head
        for w in widths:
            kind = rng.choices(["bullets", "text", "figure", "table", "mixed", "formula"], [42, 14, 26, 9, 7, 8 if doc.math else 0])[0]
            if kind == "bullets":
                body = doc.items(rng.randint(2, 6), rng.random() < 0.3, rng.random() < 0.15)
            elif kind == "text":
                body = "".join(doc.paragraph(rng.randint(50, 220)) for _ in range(rng.randint(1, 3)))
            elif kind == "figure":
                body = doc.figure(w, height * 0.85, 0.25)
            elif kind == "table":
                body = doc.table(w, height * 0.7, 0.3)
            elif kind == "formula":
                body = doc.paragraph(80) + doc.equation() + doc.paragraph(60)
            else:
                body = fill(doc, {"text": 5, "list": 4, "h3": 3, "figure": 1, "icon": 3}, w, height * 0.5)
            out += region(x, used, w, height, body)
            x += w + gap
        return out

    def picture(self) -> str:
        """A slide that is mostly a picture."""
        head, used = self.title(self.words(self.style.inner[0]))
        left, width = self.style.margins[3], self.style.inner[0]
        return head + region(
            left, used, width, self.style.height - self.style.margins[2] - used, self.doc.figure(width, (self.style.height - used) * 0.75, 0.3)
        )

    def make(self, count: int) -> list[str]:
        """The sheets of the talk."""
        rng, style = self.rng, self.style
        out = []
        for i in range(count):
            self.doc.page += 1
            body = (
                self.opening() if (i == 0 and rng.random() < 0.6) or rng.random() < 0.05 else self.picture() if rng.random() < 0.12 else self.slide()
            )
            logo = f"<div class=at data-l=figure style='right:10px;bottom:{style.height * 0.012:.0f}px'>{self.logo}</div>" if self.logo else ""
            out.append(sheet(self.doc, [body + self.furniture.make(style.width, style.height) + logo]))
        return out
