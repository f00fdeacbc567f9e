"""Tables: ruled, half-ruled, bare, shaded, with merged cells, of numbers, of words, empty forms."""

from __future__ import annotations

from random import Random

from .style import Style
from .text import Text

LOOKS = ["grid", "grid", "booktabs", "booktabs", "rows", "zebra", "bare", "outer", "header_band", "columns"]


class Tables:
    """Makes a document's tables: one look each document, seldom another."""

    def __init__(self, rng: Random, text: Text, style: Style) -> None:
        self.rng, self.text, self.style = rng, text, style
        self.look = rng.choice(LOOKS)
        self.band = rng.choice([style.accent, style.tint, style.tint, "#ddd", "#eee", "#777"])
        self.band_ink = "white" if self.band in (style.accent, "#777") else "#111" if self.band[0] == "#" else style.ink
        self.line = rng.choice([f"1px solid {style.ink}", "1px solid #999", "1px solid #bbb", f"2px solid {style.ink}", f"1px solid {style.accent}"])
        self.scale = rng.uniform(0.72, 1.0)
        self.pad = f"{rng.choice([1, 2, 3, 5, 8])}px {rng.choice([3, 5, 8, 12])}px"

    def cell(self, kind: str) -> str:
        """The words or figures of one cell."""
        rng, text = self.rng, self.text
        if rng.random() < 0.04:
            return rng.choice(["", "–", "n/a", "x"])
        if kind == "number":
            return text.amount() if rng.random() < 0.5 else text.number()
        if kind == "word":
            return text.phrase(1, 3)
        if kind == "long":
            return text.paragraph(rng.randint(30, 160))
        if kind == "code":
            return f"{rng.choice('ABCDEKPTX')}{rng.randint(1, 9999)}" if rng.random() < 0.5 else text.date()
        if kind == "bullets":
            size = self.style.size
            point = f"<div style='padding-inline-start:{size:.0f}px;text-indent:{-size:.0f}px;margin-bottom:{rng.choice([0, 0, 0.3])}em'>{self.style.bullet} "
            return "".join(f"{point}{text.phrase(2, 9)}</div>" for _ in range(rng.randint(1, 5)))
        if kind == "tick":
            return rng.choice(["✓", "✗", "+", "–", "●", "○", ""])
        return ""

    def kinds(self, columns: int, width: float) -> list[str]:
        """What each column holds; long text only where there is room for it."""
        rng = self.rng
        room = width / columns > 95
        first = rng.choice(["word", "word", "code", "long" if room else "word"])
        mood = rng.random()
        if mood < 0.5:
            return [first] + ["number"] * (columns - 1)
        if mood < 0.72 and room:
            return [first] + [rng.choice(["long", "long", "word", "bullets"]) for _ in range(columns - 1)]
        if mood < 0.78:
            return [first] + ["tick"] * (columns - 1)
        return [first] + [rng.choice(["number", "word", "code", "number"]) for _ in range(columns - 1)]

    def shape(self, width: float, height: float, full: bool) -> tuple[int, int]:
        """Columns and rows that about fit; `full`: rows for all of the height."""
        rng = self.rng
        most = max(2, min(4 if full and rng.random() < 0.4 else 11, int(width / 62)))
        columns = rng.randint(2, most)
        lines = max(3, int(height / (self.style.size * self.scale * 1.2 + 6)))
        if full:
            return columns, round(lines * rng.uniform(0.5, 1.1))
        return columns, min(lines, rng.choice([rng.randint(2, 6), rng.randint(4, 14), rng.randint(10, 45)]))

    def make(self, width: float, height: float, empty: bool = False, full: bool = False) -> str:
        """A table for a column of `width` by at most about `height` pixels, or just that (`full`). `empty`: a grid to be filled in by hand."""
        rng = self.rng
        columns, rows = self.shape(width, height, full)
        look = "grid" if empty else self.look if rng.random() < 0.85 else rng.choice(LOOKS)
        kinds = [rng.choice(["word", "word", "none", "long"])] + ["none"] * (columns - 1) if empty else self.kinds(columns, width)
        body = []
        for row in range(rows):
            body.append(self.row(kinds, row, rows, empty))
            if "long" in kinds:  # long cells take several lines each
                height -= self.style.size * 3.2
                if height < 60 and row > 1:
                    break
        head = self.head(columns) if rng.random() < 0.85 else ""
        wide = rng.random() < 0.65 or "long" in kinds or empty
        ruled = look != "bare"
        identity = f"t{rng.randrange(16**8):08x}"
        placement = rng.choice(["0", "0 auto"])
        return (
            f"<style>{self.css('#' + identity, look, kinds)}</style><table id={identity} data-l=table class='{'ruled' if ruled else ''}' "
            f"style='{'width:100%;' if wide else ''}max-width:{width:.0f}px;margin:{placement}'>{head}<tbody>{''.join(body)}</tbody></table>"
        )

    def row(self, kinds: list[str], index: int, rows: int, empty: bool) -> str:
        """One row; now and then a section row over all columns, or a total."""
        rng = self.rng
        if index and rng.random() < 0.035:
            return f"<tr><td colspan={len(kinds)} style='text-align:{rng.choice(['start', 'center'])}'><b>{self.text.phrase(1, 5)}</b></td></tr>"
        tall = f" style='height:{rng.choice([22, 30, 44])}px'" if empty else ""
        bold = index == rows - 1 and rng.random() < 0.25
        cells = []
        skip = 0
        for i, kind in enumerate(kinds):
            if skip:
                skip -= 1
                continue
            span = 2 if 0 < i < len(kinds) - 1 and rng.random() < 0.015 else 1
            skip = span - 1
            content = self.cell(kind)
            cells.append(f"<td{f' colspan={span}' if span > 1 else ''}>{f'<b>{content}</b>' if bold else content}</td>")
        return f"<tr{tall}>{''.join(cells)}</tr>"

    def head(self, columns: int) -> str:
        """One or two header rows."""
        rng = self.rng
        first = ""
        if columns > 3 and rng.random() < 0.22:
            groups, left = [], columns - 1
            while left:
                span = min(left, rng.randint(1, 3))
                groups.append(f"<th colspan={span} style='text-align:center'>{self.text.phrase(1, 2)}</th>")
                left -= span
            first = f"<tr class=hd><th></th>{''.join(groups)}</tr>"
        names = "".join(f"<th>{self.text.phrase(1, 3 if columns < 6 else 1)}</th>" for _ in range(columns))
        return f"<thead>{first}<tr class='hd last'>{names}</tr></thead>"

    def css(self, at: str, look: str, kinds: list[str]) -> str:
        """The rules of one table, under its id."""
        rng, line = self.rng, self.line
        rules = [
            f"{at}{{font-size:{self.scale:.2f}em}}",
            f"{at} td,{at} th{{padding:{self.pad};vertical-align:{rng.choice(['top', 'top', 'middle'])}}}",
        ]
        if rng.random() < 0.75:
            rules.append(f"{at} th{{font-weight:bold}}")
        if rng.random() < 0.3:
            rules.append(f"{at} th{{text-align:center}}")
        align = rng.choice(["end", "end", "center", "start"])
        rules += [f"{at} td:nth-child({i + 1}){{text-align:{align}}}" for i, kind in enumerate(kinds) if kind in ("number", "tick")]
        band = f"{at} .hd th{{background:{self.band};color:{self.band_ink}}}"
        if look == "grid":
            rules.append(f"{at} td,{at} th{{border:{line}}}")
            if rng.random() < 0.5:
                rules.append(band)
        elif look == "booktabs":
            ink = self.style.ink
            rules.append(f"{at}{{border-top:2px solid {ink};border-bottom:2px solid {ink}}} {at} .last th{{border-bottom:1px solid {ink}}}")
        elif look == "rows":
            rules.append(f"{at} tr{{border-bottom:{line}}}")
        elif look == "zebra":
            rules += [f"{at} tbody tr:nth-child(even){{background:{self.style.tint}}}", band]
        elif look == "outer":
            rules.append(f"{at}{{border:{line}}} {at} .last{{border-bottom:{line}}}")
        elif look == "header_band":
            rules += [band, f"{at}{{border-bottom:{line}}}"]
        elif look == "columns":
            rules.append(
                f"{at}{{border-top:{line};border-bottom:{line}}} {at} td+td,{at} th+th{{border-left:{line}}} {at} .last{{border-bottom:{line}}}"
            )
        return "".join(rules)
