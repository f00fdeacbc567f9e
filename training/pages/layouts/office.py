"""Office papers: letters, invoices, forms, pages of tables, covers."""

from __future__ import annotations

from ..blocks import Doc
from .page import Furniture, fill, page, sheet


class Office:
    """Page makers for letters, invoices, forms, financial tables and covers."""

    def __init__(self, doc: Doc) -> None:
        self.doc, self.rng, self.style, self.text = doc, doc.rng, doc.style, doc.text
        self.furniture = Furniture(doc, 0.55)
        self.logo = doc.drawings.logo(doc.rng.uniform(28, 70))
        self.has_logo = doc.rng.random() < 0.6
        self.sender = [doc.text.company(), *doc.text.address(), f"tel. {doc.rng.randint(10**8, 10**9)}", doc.text.mail()]
        self.head_align = doc.rng.choice(["space-between", "space-between", "center", "flex-end"])

    def label(self, lines: list[str], css: str = "") -> str:
        """A text block of lines."""
        return self.doc.flat(lines, css)

    def letterhead(self) -> str:
        """Logo and sender."""
        parts = f"<div data-l=figure>{self.logo}</div>" if self.has_logo else ""
        if self.rng.random() < 0.8:
            parts += self.label(self.sender[: self.rng.randint(2, 5)], f"font-size:.85em;text-align:{self.rng.choice(['start', 'end'])}")
        rule = f"border-bottom:{self.rng.choice([0, 0, 1, 2])}px solid {self.style.accent};padding-bottom:8px"
        return f"<div style='display:flex;justify-content:{self.head_align};align-items:center;gap:24px;margin-bottom:{self.rng.randint(10, 40)}px;{rule}'>{parts}</div>"

    def signature(self) -> str:
        """Greeting, signature, name; a stamp beside it."""
        rng, text = self.rng, self.text
        side = rng.choice(["flex-start", "flex-end", "flex-end"])
        inner = self.label([text.phrase(1, 3)]) if rng.random() < 0.7 else ""
        if rng.random() < 0.6:
            inner += f"<div data-l=figure style='margin:6px 0;width:fit-content'>{self.doc.drawings.signature(rng.uniform(80, 170), rng.uniform(28, 50))}</div>"
        else:
            inner += f"<div style='height:{rng.randint(15, 50)}px'></div>" + rng.choice(
                ["", "<div style='border-bottom:1px dotted #222;width:170px'></div>"]
            )
        inner += self.label([text.name(), text.phrase(1, 3)][: rng.randint(1, 2)], f"text-align:{rng.choice(['start', 'center'])}")
        stamp = f"<div data-l=figure>{self.doc.drawings.stamp(rng.uniform(75, 120))}</div>" if rng.random() < 0.3 else ""
        return f"<div class=unit style='display:flex;justify-content:{side};gap:30px;align-items:center'>{stamp}<div>{inner}</div></div>"

    def letter(self) -> str:
        """A letter or an official notice."""
        doc, rng, text = self.doc, self.rng, self.text
        parts = [self.letterhead()] if rng.random() < 0.8 else []
        parts.append(self.label([f"{text.phrase(1, 1)}, {text.date()}"], f"text-align:{rng.choice(['end', 'end', 'start'])};margin-bottom:14px"))
        if rng.random() < 0.4:
            parts.append(
                self.label([f"{text.word()[:3].upper()}.{rng.randint(1, 999)}.{rng.randint(1, 99)}.{rng.randint(2000, 2026)}"], "margin-bottom:14px")
            )
        if rng.random() < 0.75:
            push = rng.choice([0, 0, 55])
            parts.append(self.label([text.name(), text.company(), *text.address()], f"margin:0 0 22px {push}%"))
        if rng.random() < 0.6:
            parts.append(doc.heading(rng.choice([1, 2, 3])))
        if rng.random() < 0.6:
            parts.append(self.label([text.phrase(2, 4) + ","], "margin-bottom:8px"))
        for _ in range(rng.randint(1, 6)):
            parts.append(doc.paragraph(rng.randint(80, 700)))
            if rng.random() < 0.2:
                parts.append(doc.items())
        parts.append(self.signature())
        if rng.random() < 0.35:
            parts.append(self.label([text.phrase(1, 1) + ":"]) + doc.items(rng.randint(1, 4), False, True))
        return page(doc, self.furniture, "".join(parts), 1)

    def invoice(self) -> str:
        """Parties side by side, a table of positions, totals, terms."""
        doc, rng, text, style = self.doc, self.rng, self.text, self.style
        width = style.inner[0]
        pairs = lambda n: [f"{text.phrase(1, 2)}: {rng.choice([text.date(), text.amount(), text.number()])}" for _ in range(n)]
        title = f"<div class=h1 data-l=title>{text.phrase(1, 2)} {rng.randint(1, 999)}/{rng.randint(2010, 2026)}</div>"
        parts = [self.letterhead(), title if rng.random() < 0.8 else self.label(pairs(1))]
        parties = "".join(
            f"<div style='flex:1'>{self.label([f'<b>{text.phrase(1, 2)}:</b>', text.company(), *text.address(), *pairs(rng.randint(0, 2))])}</div>"
            for _ in range(2)
        )
        if rng.random() < 0.85:
            parts.append(f"<div style='display:flex;gap:30px;margin:12px 0'>{parties}</div>")
        if rng.random() < 0.6:
            parts.append(self.label(pairs(rng.randint(2, 5)), "margin-bottom:14px"))
        parts.append(f"<div class=unit style='break-inside:auto'>{doc.tables.make(width, style.inner[1] * rng.uniform(0.15, 0.5))}</div>")
        if rng.random() < 0.7:
            parts.append(
                self.label([f"<b>{line}</b>" for line in pairs(rng.randint(1, 4))], f"text-align:end;margin:0 0 14px {rng.choice([0, 50])}%")
            )
        parts += [doc.paragraph(rng.randint(50, 250)) for _ in range(rng.randint(0, 3))]
        if rng.random() < 0.25:
            parts.append(f"<div data-l=figure style='width:fit-content;margin:8px 0'>{doc.drawings.code(rng.uniform(60, 110))}</div>")
        if rng.random() < 0.5:
            parts.append(self.signature())
        return page(doc, self.furniture, "".join(parts), 1)

    def field(self) -> str:
        """One line of a form: a label and a place to write."""
        rng, text = self.rng, self.text
        words = text.phrase(1, 4)
        shape = rng.random()
        if shape < 0.35:
            return f"<div class='p flat' data-l=text style='margin:6px 0'>{words}: {'.' * rng.randint(20, 70)}</div>"
        if shape < 0.6:
            return f"<div style='display:flex;gap:6px;align-items:end;margin:7px 0'><div class='p flat' data-l=text style='margin:0'>{words}:</div><div style='flex:1;border-bottom:1px solid #333;margin-bottom:3px'></div></div>"
        if shape < 0.8:
            cells = "".join(
                "<span style='display:inline-block;width:16px;height:18px;border:1px solid #555;vertical-align:middle'></span>"
                for _ in range(rng.randint(4, 14))
            )
            return f"<div style='margin:7px 0'><span data-l=text>{words}</span> {cells}</div>"
        options = "".join(
            f"<div class=li data-l=list style='padding-inline-start:2em;text-indent:-1.6em'><span class=mk style='width:1.6em'>{rng.choice('☐☐☐☒□')}</span>{text.phrase(1, 9)}</div>"
            for _ in range(rng.randint(2, 5))
        )
        return f"<div class='p flat' data-l=text>{words}:</div>{options}"

    def form(self) -> str:
        """Sections of fields, grids to fill in, small print, a place to sign."""
        doc, rng, style = self.doc, self.rng, self.style
        parts = [self.letterhead()] if rng.random() < 0.5 else []
        parts.append(doc.heading(1))
        if rng.random() < 0.5:
            parts.append(doc.paragraph(rng.randint(60, 300)))
        for _ in range(rng.randint(2, 5)):
            if rng.random() < 0.7:
                parts.append(doc.heading(rng.choice([2, 2, 3])))
            if rng.random() < 0.4:
                parts.append(f"<div class=unit>{doc.tables.make(style.column_width, style.inner[1] * 0.3, empty=rng.random() < 0.7)}</div>")
            else:
                parts += [self.field() for _ in range(rng.randint(2, 7))]
            if rng.random() < 0.3:
                parts.append(doc.items(None, True, True))
        parts += [f"<div class=note data-l=text>{doc.text.paragraph(rng.randint(60, 400))}</div>" for _ in range(rng.randint(0, 2))]
        if rng.random() < 0.6:
            parts.append(self.signature())
        return page(doc, self.furniture, "".join(parts))

    def statements(self) -> str:
        """Pages that are mostly tables, up to a whole page each."""
        doc, rng, style = self.doc, self.rng, self.style
        width, height = style.inner
        if rng.random() < 0.45:
            head = doc.heading(rng.choice([1, 2])) if rng.random() < 0.6 else ""
            table = doc.tables.make(width, height * rng.uniform(0.5, 1.1), full=True)
            return page(doc, self.furniture, f"{head}<div class=unit style='break-inside:auto;margin:0'>{table}</div>", 1)
        body = fill(doc, {"table": 45, "text": 22, "h2": 12, "h3": 8, "pairs": 4, "list": 3, "figure": 3}, style.column_width, height, style.columns)
        return page(doc, self.furniture, body)

    def cover(self) -> str:
        """A cover, an imprint, a page with one picture, a nearly empty page."""
        doc, rng, text, style = self.doc, self.rng, self.text, self.style
        width, height = style.inner
        align = rng.choice(["center", "center", "start"])
        gap = lambda: f"<div style='height:{rng.uniform(0.02, 0.16) * height:.0f}px'></div>"
        mood = rng.random()
        if mood < 0.2:
            return page(doc, self.furniture, gap() + doc.figure(width, height * 0.8, 0.6), 1)
        if mood < 0.4:
            blocks = [
                self.label([text.phrase(1, 6) for _ in range(rng.randint(1, 4))], f"text-align:{align};margin-bottom:{rng.randint(8, 40)}px")
                for _ in range(rng.randint(3, 8))
            ]
            return page(doc, None, gap() + "".join(blocks), 1)
        if mood < 0.52:
            return page(
                doc, self.furniture, doc.paragraph(rng.randint(30, 500)) + (doc.heading(2) + doc.paragraph(200) if rng.random() < 0.3 else ""), 1
            )
        parts = []
        if rng.random() < 0.5:
            parts.append(f"<div style='text-align:{align}'><div data-l=figure style='display:inline-block'>{self.logo}</div></div>")
        if rng.random() < 0.6:
            parts.append(self.label([text.company(), text.phrase(1, 4)][: rng.randint(1, 2)], f"text-align:{align}"))
        parts.append(gap())
        parts.append(
            f"<div class=h1 data-l=title style='text-align:{align};font-size:{rng.uniform(1.7, 3.4):.2f}em;line-height:1.15'>{text.phrase(2, 9)}</div>"
        )
        if rng.random() < 0.6:
            parts.append(f"<div class=h2 data-l=title style='text-align:{align}'>{text.phrase(3, 9)}</div>")
        parts += [gap(), self.label([text.name() for _ in range(rng.randint(1, 4))], f"text-align:{align}")]
        if rng.random() < 0.45:
            parts.append(gap() + doc.figure(width, height * 0.35, 0.0, rng.choice(["photo", "drawing"])))
        return page(
            doc, None, "".join(parts), 1, "", self.label([f"{text.phrase(1, 2)}, {text.date()}"], f"text-align:{align}") if rng.random() < 0.7 else ""
        )

    def make(self, count: int) -> list[str]:
        """The sheets of the document."""
        maker = {"letter": self.letter, "invoice": self.invoice, "form": self.form, "tables": self.statements, "cover": self.cover}[self.doc.kind]
        return [sheet(self.doc, [maker()]) for _ in range(count)]
