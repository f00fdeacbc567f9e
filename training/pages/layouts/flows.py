"""Documents that are mainly running text: papers, reports, books, laws, manuals, patents, exams, reference lists, contents."""

from __future__ import annotations

from ..blocks import Doc
from .page import Furniture, fill, page, sheet, shorten

#: What the pages of a kind are made of.
MIXES: dict[str, dict[str, float]] = {
    "paper": {"text": 52, "h1": 4, "h2": 8, "h3": 3, "list": 3, "steps": 2, "table": 7, "figure": 9, "formula": 17},
    "report": {
        "text": 46,
        "h1": 5,
        "h2": 9,
        "h3": 5,
        "list": 11,
        "steps": 3,
        "table": 9,
        "figure": 9,
        "quote": 2,
        "panel": 2,
        "pairs": 2,
        "icon": 1,
        "formula": 2,
    },
    "book": {"text": 76, "h1": 2, "h2": 5, "list": 4, "quote": 5, "figure": 4, "table": 2, "formula": 4},
    "manual": {"text": 30, "h1": 6, "h2": 11, "h3": 8, "list": 12, "steps": 13, "table": 7, "figure": 9, "code": 7, "panel": 4, "pairs": 3},
    "patent": {"text": 82, "h2": 6, "steps": 7, "figure": 3, "formula": 2},
    "reference": {"reference": 80, "h1": 4, "text": 6, "h2": 10},
}


class Flows:
    """Page makers for one document of running text."""

    def __init__(self, doc: Doc) -> None:
        self.doc, self.rng, self.style = doc, doc.rng, doc.style
        self.furniture = Furniture(doc)
        self.mix = dict(MIXES.get(doc.kind, MIXES["report"]))
        if not doc.math:
            self.mix.pop("formula", None)
        for key in self.mix:  # documents differ: one has no lists, another many
            self.mix[key] *= doc.rng.choice([0.15, 0.6, 1, 1, 1.8]) if key != "text" else 1

    def ordinary(self) -> str:
        """A page from the middle of the document."""
        rng, style = self.rng, self.style
        body = fill(self.doc, self.mix, style.column_width, style.inner[1], style.columns)
        body = shorten(rng, body, 0.07)
        top = ""
        if style.columns > 1 and rng.random() < 0.3:
            make = self.doc.table if rng.random() < 0.4 else self.doc.figure
            top = make(style.inner[0], style.inner[1] * rng.uniform(0.2, 0.4), 1.0)
        notes = self.doc.notes() if rng.random() < 0.22 else ""
        return page(self.doc, self.furniture, body, None, top, notes)

    def widen_margin(self) -> None:
        """Makes room for notes beside the text."""
        top, right, bottom, _ = self.style.margins
        self.style.margins, self.style.columns = (top, right, bottom, round(self.style.width * 0.27)), 1

    def side_notes(self) -> str:
        """Notes in the wide left margin, now and then a picture."""
        rng, style = self.rng, self.style
        top, _, _, left = style.margins
        y, out = top + rng.uniform(0, 150), ""
        width = left - 50
        while y < style.height * 0.75:
            if rng.random() < 0.2:
                note = f"<div data-l=figure>{self.doc.picture(width, 80)}</div>{self.doc.caption('figure')}"
            else:
                note = f"<div class=note data-l=text>{self.doc.text.paragraph(rng.randint(30, 160))}</div>"
            out += f"<div class=at style='left:25px;top:{y:.0f}px;width:{width}px;font-size:.92em'>{note}</div>"
            y += rng.uniform(190, 420)
        return out

    def first(self) -> str:
        """The opening page: title, authors, abstract."""
        doc, rng, style = self.doc, self.rng, self.style
        align = rng.choice(["center", "center", "start"])
        size = rng.uniform(1.4, 2.4)
        top = ""
        if rng.random() < 0.25:
            top += f"<div data-l=figure style='margin-bottom:10px;display:inline-block'>{doc.drawings.logo(rng.uniform(30, 55))}</div>"
        if rng.random() < 0.3:
            top += doc.flat([f"{doc.text.phrase(2, 6)}, {doc.text.date()}"], "font-size:.85em;margin-bottom:.8em")
        top += (
            f"<div data-l=title style='font-family:{style.head.replace(chr(39), chr(34))};font-size:{size:.2f}em;line-height:1.15;text-align:{align};"
            f"font-weight:{rng.choice(['bold', 'bold', 'normal'])};margin:0 0 .6em;text-indent:0;hyphens:manual'>{doc.text.phrase(3, 13)}</div>"
        )
        names = ", ".join(f"{doc.text.name()}<sup>{i + 1}</sup>" for i in range(rng.randint(1, 6)))
        if rng.random() < 0.85:
            top += doc.flat([names], f"text-align:{align};margin-bottom:.4em")
        if rng.random() < 0.6:
            top += doc.flat(
                [f"<sup>{i + 1}</sup> {doc.text.company()}, {doc.text.mail()}" for i in range(rng.randint(1, 3))],
                f"text-align:{align};font-size:.85em;margin-bottom:.8em",
            )
        abstract = doc.heading(3) if rng.random() < 0.5 else ""
        abstract += f"<p data-l=text style='font-size:.92em'>{doc.running(rng.randint(350, 1100))}</p>"
        if rng.random() < 0.5:
            abstract += f"<p data-l=text style='font-size:.92em'><b>{doc.text.word()}:</b> {', '.join(doc.text.phrase(1, 2) for _ in range(rng.randint(3, 7)))}</p>"
        inset = rng.choice([0, 0, 40])
        if rng.random() < 0.7:
            top += f"<div style='margin:8px {inset}px 14px'>{abstract}</div>"
        body = doc.heading(1) + fill(doc, self.mix, style.column_width, style.inner[1] * 0.7, style.columns)
        return page(doc, self.furniture, body, None, top, doc.notes() if rng.random() < 0.35 else "")

    def chapter(self) -> str:
        """A book's chapter opening, with white above and perhaps a drop cap."""
        doc, rng, style = self.doc, self.rng, self.style
        drop = style.size * style.leading * 3
        head = doc.heading(1)
        if rng.random() < 0.5:
            head = f"<div class=h2 data-l=title>{doc.text.names[3]} {rng.randint(1, 30)}</div>" + head
        first = doc.paragraph(rng.randint(400, 900), "text-indent:0")
        if rng.random() < 0.4:
            letter = doc.text.word()[0].upper()
            first = first.replace(
                ">",
                f"><span style='float:inline-start;font-size:{drop:.0f}px;line-height:.8;padding:3px 6px 0 0;color:{style.accent}'>{letter}</span>",
                1,
            )
        body = f"<div style='height:{rng.uniform(0, 0.3) * style.inner[1]:.0f}px'></div>{head}{first}" + fill(
            doc, self.mix, style.column_width, style.inner[1], style.columns
        )
        return page(doc, self.furniture, body)

    def contents(self) -> str:
        """A table of contents: DocLayNet labels it as one table, or as one between each two headings."""
        doc, rng = self.doc, self.rng
        head = f"<div class=h1 data-l=title>{doc.text.names[4]}</div>" if rng.random() < 0.75 else ""
        entry = rng.choice([self.contents_line, self.contents_line, self.contents_entry])
        dots = rng.choice(["dotted", "dotted", "none"])
        count, parts = rng.randint(8, 34), rng.choice([1, 1, 1, 2, 3])
        number, body = rng.randint(1, 9), ""
        for part in range(parts):
            body += doc.heading(2) if part or (parts > 1 and rng.random() < 0.6) else ""
            rows = ""
            for _ in range(max(1, count // parts)):
                number += rng.randint(0, 9)
                rows += entry(number, dots)
            body += f"<div data-l=table style='margin:0 0 {rng.randint(6, 26)}px'>{rows}</div>"
        return page(doc, self.furniture, head + body, 1)

    def contents_line(self, number: int, dots: str) -> str:
        """A heading and its page in one line."""
        doc, rng = self.doc, self.rng
        level = rng.choice([0, 0, 1, 1, 1, 2])
        weight = "bold" if level == 0 and rng.random() < 0.6 else "normal"
        return (
            f"<div style='display:flex;align-items:baseline;gap:5px;text-indent:0;font-weight:{weight};padding-inline-start:{level * 18}px;margin:2px 0'>"
            f"<span style='max-width:85%'>{doc.text.phrase(2, 9)}</span><span style='flex:1;border-bottom:1.5px {dots} #333'></span><span>{number}</span></div>"
        )

    def contents_entry(self, number: int, dots: str) -> str:
        """An article's author and title over one to four lines, its page at the end of the last."""
        doc, rng, size = self.doc, self.rng, self.style.size
        author = ", ".join(doc.text.name() for _ in range(rng.choice([1, 1, 1, 2, 3])))
        author = {0: f"<b>{author}</b>, ", 1: f"<i>{author}</i><br>", 2: f"{author}: "}[int(self.rng_document * 3)]
        words = doc.text.phrase(4, 32)
        hang = size * 1.8 if self.symbol else 0
        filler = f"<span style='display:inline-block;width:{rng.uniform(1, 9):.1f}em;border-bottom:1.5px {dots} #333;margin:0 5px'></span>"
        last = f"<span style='position:absolute;inset-inline-end:0;bottom:0'>{number}</span>"
        return (
            f"<div style='position:relative;padding-inline-start:{hang:.0f}px;text-indent:{-hang:.0f}px;padding-inline-end:{size * 4:.0f}px;"
            f"margin-bottom:{rng.choice([0.2, 0.5]) * size:.1f}px'>{author}{words}{filler}{last}</div>"
        )

    def law(self) -> str:
        """An act: articles, numbered paragraphs, points. Articles stand alone as headings or open their first paragraph."""
        doc, rng, style = self.doc, self.rng, self.style
        alone = self.rng_document < 0.6
        out, used, article = [], 0, rng.randint(1, 80)
        name = "§" if self.symbol else doc.text.names[6]
        budget = style.inner[0] * style.inner[1] / (style.size**2 * 0.5 * style.leading) * 1.15
        if rng.random() < 0.25:
            out += self.enactment()
        elif rng.random() < 0.4:
            out.append(doc.paragraph())
        while used < budget:
            lead = f"{name} {article}. "
            if rng.random() < 0.12:
                if rng.random() < 0.6:
                    out.append(f"<div class=h2 data-l=title>{doc.text.names[3]} {rng.randint(1, 20)}</div>")
                out.append(doc.heading(rng.choice([1, 2])))
            if alone:
                out.append(f"<div class=h3 data-l=title>{lead}</div>")
                lead = ""
            count = rng.choice([1, 1, 2, 3])
            for k in range(count):
                body = doc.running(rng.randint(70, 480))
                mark = lead if k == 0 else ""
                number = f"{k + 1}. " if count > 1 else ""
                hang = f"padding-inline-start:{style.size * 1.6:.0f}px;text-indent:{-style.size * 1.6:.0f}px" if alone and number else ""
                kind = "list" if hang else "text"
                out.append(f"<p data-l={kind} style='{hang}'>{f'<b>{mark}</b>' if style.caption_bold_label else mark}{number}{body}</p>")
                used += len(body)
                if rng.random() < 0.4:
                    points = rng.randint(2, 6)
                    for p in range(points):
                        out.append(doc.item(f"{p + 1})", doc.running(rng.randint(30, 200)).rstrip(".") + (";" if p < points - 1 else "."), style.size * 1.2))
                        if rng.random() < 0.15:
                            out += [doc.item(f"{'abcd'[q]})", doc.running(rng.randint(20, 120)), style.size * 2.6) for q in range(rng.randint(2, 4))]
                            used += 200
                    used += points * 130
            article += 1
        return page(doc, self.furniture, "".join(out), None, "", doc.notes() if rng.random() < 0.3 else "")

    def enactment(self) -> list[str]:
        """How an act or an order begins: what it is, who gives it, when, about what, and on what grounds."""
        doc, rng, text = self.doc, self.rng, self.doc.text
        middle = f"text-align:center;margin-bottom:{rng.uniform(0.4, 1.6):.1f}em"
        lines = [f"{text.phrase(2, 5)}", text.date(), f"<b>{text.phrase(4, 14)}</b>"][: rng.randint(1, 3)]
        title = f"<div class=h1 data-l=title style='text-align:center'>{text.phrase(1, 2)} {rng.randint(1, 99)}/{rng.randint(1990, 2026)}</div>"
        return [title, *(doc.flat([line], middle) for line in lines), doc.paragraph(rng.randint(120, 420))]

    def exam(self) -> str:
        """Numbered questions with choices, blanks to fill in, small figures."""
        doc, rng, style = self.doc, self.rng, self.style
        out = [doc.heading(1), doc.paragraph(rng.randint(60, 240))]
        mark = doc.text.phrase(1, 1)
        as_title = self.rng_document < 0.5
        for number in range(rng.randint(6, 12)):
            if as_title:
                out.append(f"<div class=h3 data-l=title>{mark} {number + 1}. (0–{rng.randint(1, 5)})</div>")
                out.append(doc.paragraph(rng.randint(50, 380)))
            else:
                out.append(doc.item(f"{number + 1}.", doc.running(rng.randint(50, 300)), 0))
            if doc.math and rng.random() < 0.4:
                out.append(doc.equation())
            if rng.random() < 0.55:
                out += [doc.item(f"{'ABCD'[k]}.", doc.text.phrase(1, 8), style.size * 1.5) for k in range(4)]
            if rng.random() < 0.25:
                out.append(doc.figure(style.column_width * 0.7, style.inner[1] * 0.22, 0.2, "drawing"))
            if rng.random() < 0.3:
                out.append(
                    "".join(f"<div style='border-bottom:1px dotted #444;height:{style.size * 1.7:.0f}px'></div>" for _ in range(rng.randint(2, 6)))
                )
        return page(doc, self.furniture, "".join(out))

    def drawings_page(self) -> str:
        """A patent's sheet of drawings."""
        doc, rng, style = self.doc, self.rng, self.style
        count = rng.choice([1, 2, 2, 3])
        tall = style.inner[1] / count - 60
        body = "".join(
            f"<div class=unit><div data-l=figure style='width:{style.inner[0] * 0.8:.0f}px;margin:0 auto'>{doc.picture(style.inner[0] * 0.8, tall, 'drawing')}</div>"
            f"<div class=cap data-l=caption style='text-align:center;margin:8px 0 18px'>Fig. {i + 1}</div></div>"
            for i in range(count)
        )
        return page(doc, self.furniture, body, 1)

    def make(self, count: int) -> list[str]:
        """The sheets of the document."""
        doc, rng, kind = self.doc, self.rng, self.doc.kind
        self.rng_document, self.symbol = rng.random(), rng.random() < 0.35
        side = rng.random() < 0.05 and kind in ("report", "book", "manual", "paper")
        if side:
            self.widen_margin()
        makers = {"legal": self.law, "exam": self.exam}
        spread = kind == "book" and rng.random() < 0.3
        pages = []
        while len(pages) < (count * 2 if spread else count):
            chance = rng.random()
            if kind in makers:
                pages.append(makers[kind]())
            elif kind == "contents":
                pages.append(self.contents() if chance < 0.8 else self.first())
            elif not pages and chance < 0.6:
                pages.append(self.chapter() if kind == "book" else self.first())
            elif kind == "book" and chance < 0.12:
                pages.append(self.chapter())
            elif kind == "patent" and chance < 0.2:
                pages.append(self.drawings_page())
            elif kind in ("book", "report", "manual") and chance < 0.18:
                pages.append(self.contents())
            else:
                pages.append(self.ordinary() + (self.side_notes() if side else ""))
        if spread:
            return [sheet(doc, pages[i : i + 2]) for i in range(0, len(pages), 2)]
        return [sheet(doc, [one]) for one in pages]
