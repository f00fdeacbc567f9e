"""Newspapers, magazines and brochures: pages cut into rectangles, each an article, a picture or a coloured box."""

from __future__ import annotations

from .. import figures
from ..blocks import Doc
from .page import Furniture, fill, region, sheet

Rect = tuple[float, float, float, float]


class Press:
    """Page makers for a periodical or a leaflet."""

    def __init__(self, doc: Doc) -> None:
        self.doc, self.rng, self.style, self.text = doc, doc.rng, doc.style, doc.text
        self.furniture = Furniture(doc, 0.8 if doc.kind != "brochure" else 0.35)
        self.mix = {"text": 70, "h2": 3, "h3": 8, "quote": 1, "pull": 3, "list": 3, "figure": 5, "table": 1.5, "panel": 2}
        if doc.kind == "brochure":
            self.mix = {"text": 42, "h2": 10, "h3": 9, "list": 15, "figure": 9, "panel": 7, "table": 3, "pairs": 4, "icon": 8, "pull": 2}

    def headline(self, scale: float) -> str:
        """Headline, perhaps with a kicker above, a lead and a byline below."""
        rng, text, style = self.rng, self.text, self.style
        family = style.head.replace("'", '"')
        align = rng.choice(["start", "start", "center"])
        out = ""
        if rng.random() < 0.25:
            out += self.doc.flat([text.phrase(1, 3).upper()], f"color:{style.accent};font-size:.85em;letter-spacing:.05em;text-align:{align}")
        out += (
            f"<div data-l=title style='font-family:{family};font-size:{scale:.2f}em;line-height:1.1;font-weight:{rng.choice(['bold', 'bold', 'normal'])};"
            f"text-align:{align};margin:2px 0 .25em;hyphens:manual;text-indent:0'>{text.phrase(3, 10)}</div>"
        )
        if rng.random() < 0.5:
            out += f"<p data-l=text style='font-weight:{rng.choice(['bold', 'normal'])};font-size:1.1em;text-indent:0;text-align:{align};margin-bottom:8px'>{text.paragraph(rng.randint(80, 260))}</p>"
        if rng.random() < 0.5:
            out += self.doc.flat(
                [text.name()], f"font-size:.85em;text-align:{align};margin-bottom:6px;text-transform:{rng.choice(['none', 'uppercase'])}"
            )
        return out

    def article(self, rect: Rect, scale: float) -> str:
        """One article that fills a rectangle."""
        rng, style = self.rng, self.style
        x, y, w, h = rect
        unit = style.column_width
        columns = max(1, min(style.columns, round(w / unit)))
        top = self.headline(scale)
        if h > 330 and rng.random() < 0.5:
            top = (top + self.picture(w, h * rng.uniform(0.25, 0.45))) if rng.random() < 0.5 else self.picture(w, h * rng.uniform(0.25, 0.45)) + top
        width = (w - style.gap * (columns - 1)) / columns
        body = fill(self.doc, self.mix, width, h, columns)
        if rng.random() < 0.25:
            size = style.size * style.leading * 3
            body = self.drop_cap(size) + body
        look = ""
        if rng.random() < 0.14:
            return region(x, y, w, h, body, columns, style.gap, top, "", f"background:{style.tint};padding:12px", style.rule)
        if rng.random() < 0.15:
            look = f"border-top:{rng.choice([1, 2, 4])}px solid {style.accent};padding-top:6px"
        return region(x, y, w, h, body, columns, style.gap, top, "", look, style.rule)

    def drop_cap(self, size: float) -> str:
        """A first paragraph with a large initial."""
        words = self.doc.running(self.rng.randint(200, 500))
        return (
            f"<p data-l=text style='text-indent:0'><span style='float:inline-start;font-size:{size:.0f}px;line-height:.8;padding:3px 5px 0 0;"
            f"color:{self.style.accent}'>{self.text.word()[0].upper()}</span>{words}</p>"
        )

    def picture(self, width: float, height: float) -> str:
        """A photograph over the full width, now and then several or a framed one, mostly with a caption."""
        rng, height = self.rng, max(60, height)
        kind = "photo" if rng.random() < 0.85 else None
        caption = self.caption(width) if rng.random() < 0.7 else ""
        chance = rng.random()
        if chance < 0.08:
            return f"<div class=unit style='margin:4px 0'>{figures.frame(self.doc, width, height, kind)}{caption}</div>"
        picture = figures.panels(self.doc, width, height, kind) if chance < 0.2 else self.doc.picture(width, height, kind)
        return f"<div class=unit style='margin:4px 0'><div data-l=figure style='width:{width:.0f}px'>{picture}</div>{caption}</div>"

    def caption(self, width: float) -> str:
        """A caption of at most about three lines, mostly without a number, as the press has them."""
        if width > 300 and self.rng.random() < 0.25:
            return self.doc.caption("figure")
        return f"<div class=cap data-l=caption>{self.text.paragraph(self.rng.randint(20, max(25, min(150, int(width / 2.6)))))}</div>"

    def plate(self, rect: Rect) -> str:
        """A rectangle that is one picture with its caption below."""
        x, y, w, h = rect
        return f"<div class=main style='left:{x:.0f}px;top:{y:.0f}px;width:{w:.0f}px;height:{h:.0f}px'>{self.picture(w, h - 56)}</div>"

    def box(self, rect: Rect) -> str:
        """A coloured rectangle with a heading and a few lines."""
        x, y, w, h = rect
        rng, style, doc = self.rng, self.style, self.doc
        dark = rng.random() < 0.4 and style.accent != style.ink
        look = f"background:{style.accent};color:white" if dark else f"background:{style.tint}"
        inner = f"<div data-l=title style='font-size:1.5em;line-height:1.15;font-weight:bold;margin-bottom:.4em;text-indent:0'>{self.text.phrase(2, 6)}</div>"
        inner += "".join(rng.choice([doc.paragraph, doc.paragraph, doc.items])() for _ in range(rng.randint(1, 5)))
        return region(x, y, w, h, inner, 1, 16, "", "", f"{look};padding:{rng.randint(10, 18)}px")

    def split(self, rect: Rect, depth: int) -> list[Rect]:
        """Cuts a rectangle along the column grid or across, at most `depth` times."""
        x, y, w, h = rect
        rng, style = self.rng, self.style
        pitch = style.column_width + style.gap
        spans = round((w + style.gap) / pitch)
        if depth == 0 or (h < 330 and spans < 2):
            return [rect]
        if spans > 1 and (rng.random() < 0.45 or h < 330):
            left = rng.randint(1, spans - 1) * pitch - style.gap
            rest = x + left + style.gap
            return self.split((x, y, left, h), depth - 1) + self.split((rest, y, x + w - rest, h), depth - 1)
        if h < 330:
            return [rect]
        cut = h * rng.uniform(0.3, 0.7)
        return self.split((x, y, w, cut - 9), depth - 1) + self.split((x, y + cut + 9, w, h - cut - 9), depth - 1)

    def grid(self) -> str:
        """A page of articles, pictures and boxes."""
        rng, style = self.rng, self.style
        top, _, _, left = style.margins
        w, h = style.inner
        out = ""
        y = top
        if self.doc.kind == "newspaper" and rng.random() < 0.35:  # the front page's name
            name = f"<div data-l=title style='font-family:{style.head.replace(chr(39), chr(34))};font-size:{rng.uniform(3, 5):.1f}em;line-height:1;font-weight:bold;text-align:center;text-indent:0'>{self.text.phrase(1, 2)}</div>"
            date = self.doc.flat([f"{self.text.date()}, {rng.randint(1, 300)}"], "text-align:center;font-size:.85em;margin-top:6px")
            out += f"<div class=at style='left:{left}px;top:{y}px;width:{w}px;border-bottom:2px solid {style.ink}'>{name}{date}</div>"
            y += style.size * 7
            h -= style.size * 7
        scale = rng.uniform(1.8, 3.2)
        for rect in self.split((left, y, w, h), rng.choice([1, 2, 2, 3])):
            chance = rng.random()
            area = rect[2] * rect[3]
            if chance < 0.14 and rect[2] > 120 and rect[3] > 140:
                out += self.plate(rect)
            elif chance < 0.25 and area < style.inner[0] * style.inner[1] * 0.5:
                out += self.box(rect)
            else:
                out += self.article(rect, max(1.2, min(scale, rect[2] / style.size / 11)))
        return out

    def feature(self) -> str:
        """A large picture, bleeding off the page or not, with the article below or above it."""
        rng, style = self.rng, self.style
        top, _, bottom, left = style.margins
        w = style.inner[0]
        tall = style.height * rng.uniform(0.25, 0.6)
        bleed = rng.random() < 0.6
        picture = self.doc.picture(style.width if bleed else w, tall, "photo")
        below = rng.random() < 0.75
        at = 0 if bleed else top
        y = at + tall + 16 if below else top
        if not below:
            at = style.height - tall if bleed else style.height - bottom - tall
        height = (style.height - bottom - y) if below else at - 16 - y
        self.skip_head, self.skip_foot = bleed and below, bleed and not below
        return f"<div class=at data-l=figure style='left:{0 if bleed else left}px;top:{at:.0f}px'>{picture}</div>" + self.article(
            (left, y, w, height), rng.uniform(1.8, 3.4)
        )

    def panels(self) -> str:
        """A folded leaflet: panels side by side, some coloured, one perhaps a picture."""
        rng, style, doc = self.rng, self.style, self.doc
        top, _, _, left = style.margins
        w, h = style.inner
        count = style.columns
        width = (w - style.gap * (count - 1)) / count
        out = ""
        for i in range(count):
            x = left + i * (width + style.gap)
            body = doc.heading(1) if rng.random() < 0.5 else ""
            if rng.random() < 0.4:
                body += self.picture(width - 4, h * rng.uniform(0.15, 0.35))
            body += fill(doc, self.mix, width, h)
            look = rng.choice(["", "", f"background:{style.tint};padding:10px", f"background:{style.tint};padding:10px"])
            out += region(x, top, width, h, body, 1, 10, "", "", look)
        return out

    def single_picture(self) -> str:
        """A page that is nothing but a picture."""
        self.skip_head = self.skip_foot = True
        return f"<div class=at data-l=figure style='left:0;top:0'>{self.doc.picture(self.style.width, self.style.height, 'photo')}</div>"

    def make(self, count: int) -> list[str]:
        """The sheets of the issue."""
        sheets = []
        for _ in range(count):
            self.skip_head = self.skip_foot = False
            chance = self.rng.random()
            self.doc.page += 1
            if self.doc.kind == "brochure" and chance < 0.55:
                body = self.panels()
            elif chance < 0.03:
                body = self.single_picture()
            elif chance < 0.36:
                body = self.feature()
            else:
                body = self.grid()
            tops, bottoms = self.furniture.top, self.furniture.bottom
            self.furniture.top, self.furniture.bottom = tops and not self.skip_head, bottoms and not self.skip_foot
            heads = self.furniture.make(self.style.width, self.style.height)
            self.furniture.top, self.furniture.bottom = tops, bottoms
            sheets.append(sheet(self.doc, [heads + body]))
        return sheets
