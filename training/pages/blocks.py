"""The building blocks of pages: headings, paragraphs, lists, tables, figures, formulas, notes. Each returns HTML.

A block with `data-l` is one label; labels.js reads its box. A `unit` is what stays or goes together (figure and caption).
"""

from __future__ import annotations

from random import Random

from . import figures, photos
from .charts import Charts
from .drawings import Drawings
from .formulas import Formula
from .style import Style, draw_style, draw_text
from .tables import Tables

ROMAN = "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx".split()
SYMBOLS = "+-*/=<>(){}[]"


class Doc:
    """One document: its style, its writer, its counters and its block makers."""

    def __init__(self, rng: Random, kind: str, style: Style | None = None) -> None:
        self.rng, self.kind = rng, kind
        self.style = style or draw_style(rng, kind)
        self.text = draw_text(rng, self.style)
        self.text.hyphenate = rng.random() < (0.7 if self.style.justified or self.style.columns > 2 else 0.1)
        self.tables = Tables(rng, self.text, self.style)
        self.charts = Charts(rng, self.text)
        self.drawings = Drawings(rng, self.text, self.style.accent, self.style.tint)
        self.formula = Formula(rng)
        self.math = rng.random() < {"paper": 0.75, "exam": 0.7, "book": 0.4, "manual": 0.15, "slides": 0.25, "patent": 0.2}.get(kind, 0.03)
        self.sections = [rng.randint(1, 9), rng.randint(0, 4), rng.randint(0, 3)]
        self.counters = {"table": rng.randint(1, 20), "figure": rng.randint(1, 20), "formula": rng.randint(1, 60)}
        self.page = rng.randint(1, 300)
        self.lengths = rng.choice([(5, 4, 1), (3, 4, 3), (2, 4, 4)])  # short, middling and long paragraphs
        self.item_gap = rng.choice([1.2, 1.5, 1.8, 2.4])
        self.nested = rng.choice([0.05, 0.1, 0.1, 0.4])  # how many items have a list inside
        self.equation_align = rng.choices(["center", "start"], [85, 15])[0]
        self.equation_number = rng.choices(["right", "left", "none"], [70, 6, 24])[0]
        self.number_gap = rng.choices([0, 0.5, 1, 1.7, 2.6], [35, 15, 25, 15, 10])[0]  # em between a heading's number and its words
        self.caption_label = f"color:{self.style.accent}" if rng.random() < 0.25 else ""
        self.sourced = 0.6 if rng.random() < 0.25 else 0.05  # how many tables and figures say below where they are from

    # -- words ---------------------------------------------------------------------------------------------------------

    def running(self, characters: int) -> str:
        """Text of a paragraph with emphasis, links and small formulas strewn in."""
        rng = self.rng
        words = self.text.paragraph(characters).split(" ")
        for i in range(len(words)):
            chance = rng.random()
            if chance < 0.006:
                words[i] = f"<b>{words[i]}</b>"
            elif chance < 0.013:
                words[i] = f"<i>{words[i]}</i>"
            elif chance < 0.016:
                words[i] += f"<sup>{rng.randint(1, 40)}</sup>"
            elif chance < 0.018:
                words[i] = f"<span style='color:{self.style.accent};text-decoration:underline'>{words[i]}</span>"
            elif self.math and chance < 0.035:
                words[i] = self.formula.inline()
        return " ".join(words)

    def paragraph(self, characters: int | None = None, css: str = "") -> str:
        """A paragraph."""
        rng = self.rng
        low, high = rng.choices([(40, 250), (150, 600), (400, 1100)], self.lengths)[0]
        count = characters or rng.randint(low, high)
        body = self.running(count)
        if rng.random() < 0.03:
            body = f"<b>{self.text.phrase(1, 3)}.</b> {body}"
        return f"<p data-l=text{f' style={css!r}' if css else ''}>{body}</p>"

    def heading(self, level: int) -> str:
        """A section header; level 1 to 3."""
        rng = self.rng
        look = self.style.headings[level - 1]
        words = self.text.phrase(1, 8 if self.kind in ("paper", "report", "legal") else 6)
        self.sections[level - 1] += 1
        self.sections[level:] = [0] * (3 - level)
        if look.numbered:
            number = ".".join(str(n) for n in self.sections[:level])
            gap = f"<span style='display:inline-block;width:{self.number_gap}em'></span>" if self.number_gap else " "
            words = f"{number}{rng.choice(['', '.'])}{gap}{words}"
        return f"<div class=h{level} data-l=title>{words}</div>"

    def flat(self, lines: list[str], css: str = "") -> str:
        """Lines that stand as one text block: an address, a byline, key and value."""
        return f"<div class='p flat' data-l=text style='{css}'>{'<br>'.join(lines)}</div>"

    # -- lists ---------------------------------------------------------------------------------------------------------

    def marker(self, index: int, numbering: str) -> str:
        """The index-th (from 0) number in the style of a sample such as `1.` or `(a)`."""
        for sample, value in (("1", str(index + 1)), ("a", chr(97 + index % 26)), ("A", chr(65 + index % 26)), ("i", ROMAN[index % 20])):
            if sample in numbering:
                return numbering.replace(sample, value)
        return chr(0x2460 + index % 20)

    def item(self, mark: str, body: str, indent: float) -> str:
        """One list item; the mark hangs in the indent."""
        size = self.style.size
        hang = max(self.item_gap * size, (len(mark) * 0.62 + 0.5) * size)
        return (
            f"<div class=li data-l=list style='padding-inline-start:{indent + hang:.1f}px;text-indent:{-hang:.1f}px'>"
            f"<span class=mk style='width:{hang:.1f}px'>{mark}</span>{body}</div>"
        )

    def items(self, count: int | None = None, long: bool | None = None, numbered: bool | None = None) -> str:
        """A list, now and then with a list inside."""
        rng, size = self.rng, self.style.size
        count = count or rng.choice([2, 3, 3, 4, 5, 6, 8, 11])
        long = rng.random() < 0.45 if long is None else long
        numbered = rng.random() < 0.5 if numbered is None else numbered
        indent = rng.choice([0, 0, 1, 2]) * size
        out = []
        for i in range(count):
            body = self.running(rng.randint(60, 320)) if long else self.text.phrase(2, 14) + rng.choice(["", ";", ",", "."])
            has_inner = rng.random() < self.nested
            if has_inner and rng.random() < 0.3:
                body = f"<b>{self.text.phrase(1, 5)}:</b>"
            out.append(self.item(self.marker(i, self.style.numbering) if numbered else self.style.bullet, body, indent))
            if has_inner:
                inner, wordy = rng.choice(["a)", "–", "◦", "•", "(i)"]), rng.random() < 0.4
                out += [
                    self.item(
                        self.marker(k, inner) if inner[0] in "a(" else inner,
                        self.running(rng.randint(40, 220)) if wordy else self.text.phrase(2, 10),
                        indent + 1.8 * size,
                    )
                    for k in range(rng.randint(2, 6))
                ]
        return f"<div style='margin:{size * rng.uniform(0.2, 0.8):.1f}px 0'>{''.join(out)}</div>"

    # -- floats --------------------------------------------------------------------------------------------------------

    def caption(self, of: str) -> str:
        """A numbered caption of a `table` or `figure`."""
        rng = self.rng
        self.counters[of] += 1
        name = self.text.names[0 if of == "table" else 1]
        label = f"{name} {self.counters[of]}{rng.choice(['.', ':', '.'])}"
        if self.style.caption_bold_label:
            label = f"<b style='{self.caption_label}'>{label}</b>"
        words = self.text.phrase(2, 9) if rng.random() < 0.6 else self.running(rng.randint(60, 330))
        return f"<div class=cap data-l=caption>{label} {words}</div>"

    def table(self, width: float, height: float, captioned: float = 0.6) -> str:
        """A table, mostly with its caption; long ones may break across columns."""
        table = self.tables.make(width, height)
        if self.rng.random() > captioned:
            return f"<div class=unit style='break-inside:auto'>{table}</div>"
        caption = self.caption("table")
        body = caption + table if self.style.caption_above_tables else table + caption
        return f"<div class=unit>{body}{self.source()}</div>"

    def source(self) -> str:
        """Where a table or figure is from, if it says so."""
        if self.rng.random() > self.sourced:
            return ""
        return f"<div class=note data-l=text style='margin-top:4px'>{self.text.word().capitalize()}: {self.text.phrase(2, 12)}.</div>"

    def picture(self, width: float, height: float, kind: str | None = None) -> str:
        """A picture without a label: photograph, chart or drawing of the given size."""
        rng = self.rng
        kind = (
            kind
            or rng.choices(
                ["photo", "chart", "drawing"],
                {"magazine": [85, 8, 7], "newspaper": [88, 8, 4], "brochure": [75, 10, 15], "paper": [15, 55, 30], "patent": [0, 10, 90]}.get(
                    self.kind, [40, 35, 25]
                ),
            )[0]
        )
        if kind == "photo":
            return photos.photo(rng, width, height)
        return self.charts.make(width, height) if kind == "chart" else self.drawings.make(width, height)

    def figure(self, width: float, height: float, captioned: float = 0.75, kind: str | None = None) -> str:
        """A figure in a column of `width`: a picture, several panels, a frame; or two figures with a caption each side by side."""
        rng = self.rng
        w = width if rng.random() < 0.5 else width * rng.uniform(0.5, 1)
        h = min(height, w * rng.uniform(0.35, 1.0))
        make = rng.choices(["picture", "panels", "frame", "inset", "scheme", "pair", "beside"], [56, 17, 10, 3, 4, 4, 6])[0]
        if make in ("pair", "beside") and width > 330:
            return self.pair(width, height, kind) if make == "pair" else self.beside(width, height, kind)
        if make == "panels":
            w = width if rng.random() < 0.8 else w
            body = figures.panels(self, w, height, kind)
        elif make == "inset" and w > 200:
            body = figures.inset(self, w, h)
        elif make == "scheme" and not kind:
            body = figures.scheme(self, w, h)
        else:
            body = self.picture(w, h, kind)
        margin = rng.choice(["0 auto", "0 auto", "0"])
        if make == "frame":
            body = f"<div style='width:{w:.0f}px;margin:{margin}'>{figures.frame(self, w, height, kind)}</div>"
        else:
            body = f"<div style='width:{w:.0f}px;margin:{margin}' data-l=figure>{body}</div>"
        caption = self.caption("figure") if rng.random() < captioned else ""
        return f"<div class=unit>{caption + body if self.style.caption_above_figures else body + caption}{self.source()}</div>"

    def pair(self, width: float, height: float, kind: str | None) -> str:
        """Two figures side by side, each with its own caption."""
        half = (width - 16) / 2
        tall = min(height * 0.8, half * self.rng.uniform(0.5, 0.9))
        units = "".join(
            f"<div style='width:{half:.0f}px'><div data-l=figure>{self.picture(half, tall, kind)}</div>{self.caption('figure')}</div>" for _ in range(2)
        )
        return f"<div class=unit style='display:flex;gap:16px'>{units}</div>"

    def beside(self, width: float, height: float, kind: str | None) -> str:
        """A figure with its caption at its side."""
        rng = self.rng
        w = width * rng.uniform(0.45, 0.65)
        picture = f"<div data-l=figure>{self.picture(w, min(height, w * rng.uniform(0.5, 1.0)), kind)}</div>"
        caption = f"<div style='flex:1;align-self:{rng.choice(['start', 'center', 'end'])}'>{self.caption('figure')}</div>"
        parts = [picture, caption] if rng.random() < 0.7 else [caption, picture]
        return f"<div class=unit style='display:flex;gap:12px'>{''.join(parts)}</div>"

    def icon(self) -> str:
        """A small mark with a few words beside it, as leaflets have them."""
        rng = self.rng
        mark = f"<div data-l=figure style='flex:none'>{self.drawings.logo(rng.uniform(22, 60))}</div>"
        words = f"<div>{self.heading(3) if rng.random() < 0.4 else ''}{self.paragraph(rng.randint(40, 220))}</div>"
        return f"<div class=unit style='display:flex;gap:12px;align-items:center'>{mark}{words}</div>"

    def pull(self) -> str:
        """A pull quote: the paragraph's words, but large."""
        rng, style = self.rng, self.style
        css = (
            f"font-family:{style.head};font-size:{rng.uniform(1.2, 1.8):.2f}em;line-height:1.2;text-indent:0;hyphens:manual;color:{style.accent};"
            f"text-align:{rng.choice(['center', 'start'])};font-style:{rng.choice(['italic', 'normal'])}"
        ).replace("'", "")
        rules = rng.choice(
            [
                "",
                f"border-top:2px solid {style.accent};border-bottom:2px solid {style.accent};padding:6px 0",
                f"border-top:1px solid {style.ink};padding-top:6px",
            ]
        )
        return f"<div class=unit style='{rules}'><p data-l=text style='{css}'>{self.text.paragraph(rng.randint(40, 150))}</p></div>"

    def equation(self) -> str:
        """A displayed formula, mostly numbered."""
        self.counters["formula"] += 1
        side = self.equation_number
        number = ""
        if side != "none" and self.rng.random() < 0.8:
            number = f"<span class=no style='{side}:0'>({self.counters['formula']})</span>"
        inner = f"<div style='position:relative;width:100%;display:flex;align-items:center;justify-content:{self.equation_align}'>{self.formula.display()}{number}</div>"
        return f"<div class='eq unit' data-l=formula>{inner}</div>"

    def code(self) -> str:
        """A listing; DocLayNet has no class for it, so it is text."""
        rng = self.rng
        lines, depth = [], 0
        for _ in range(rng.randint(3, 14)):
            depth = max(0, min(4, depth + rng.choice([-1, 0, 0, 1])))
            words = " ".join(
                rng.choice([self.text.mail().split("@")[0][:8], rng.choice(SYMBOLS), str(rng.randint(0, 99))]) for _ in range(rng.randint(1, 7))
            )
            lines.append("  " * depth + words.replace("<", "&lt;").replace(">", "&gt;"))
        frame = rng.choice(["", f"background:{self.style.tint};padding:5px", "border:1px solid #999;padding:5px"])
        return f"<div class='code unit' data-l=text style='{frame}'>{chr(10).join(lines)}</div>"

    def quote(self) -> str:
        """A set-off quotation."""
        size = self.style.size
        css = self.rng.choice(
            [
                f"margin:.7em {size * 2:.0f}px",
                f"margin:.7em {size * 2:.0f}px;font-style:italic",
                f"border-inline-start:3px solid {self.style.accent};padding-inline-start:{size:.0f}px;margin:.8em 0",
            ]
        )
        return self.paragraph(self.rng.randint(90, 420), css)

    def panel(self, inner: str) -> str:
        """A coloured or framed box around other blocks."""
        rng, style = self.rng, self.style
        inverted = rng.random() < 0.2 and style.accent != style.ink
        look = (
            f"background:{style.accent};color:white"
            if inverted
            else rng.choice(
                [f"background:{style.tint}", f"border:1px solid {style.accent}", f"background:{style.tint};border-top:3px solid {style.accent}"]
            )
        )
        clear = "<style>.inv .h1,.inv .h2,.inv .h3{color:inherit;background:none}</style>" if inverted else ""
        return f"<div class='unit {'inv' if inverted else ''}' style='{look};padding:{rng.randint(7, 16)}px'>{clear}{inner}</div>"

    def notes(self) -> str:
        """Footnotes under a short rule; each is a text."""
        rng = self.rng
        start = rng.randint(1, 60)
        rule = rng.choice(
            ["<div style='border-top:1px solid #000;width:30%;margin-bottom:4px'></div>", "<div style='border-top:1px solid #000'></div>", ""]
        )
        notes = "".join(
            f"<div class=note data-l=text><sup>{start + i}</sup> {self.text.paragraph(rng.randint(25, 260))}</div>" for i in range(rng.randint(1, 5))
        )
        return f"<div class=notes>{rule}{notes}</div>"
