"""Drawings as SVG: diagrams, technical drawings, maps, logos, signatures, stamps, codes, screens."""

from __future__ import annotations

import math
from random import Random

from .text import Text


def svg(width: float, height: float, body: str) -> str:
    """An SVG whose only child group bounds the drawing."""
    return f"<svg width={width:.0f} height={height:.0f} viewBox='0 0 {width:.0f} {height:.0f}'><g>{body}</g></svg>"


class Drawings:
    """Draws in one ink and one fill colour."""

    def __init__(self, rng: Random, text: Text, accent: str, tint: str) -> None:
        self.rng, self.text, self.accent, self.tint = rng, text, accent, tint
        self.kinds = [self.flow_chart, self.blocks, self.technical, self.map, self.screen, self.graph, self.triangles, self.circuit]

    def make(self, width: float, height: float) -> str:
        """Any drawing that may stand in a text."""
        return svg(width, height, self.rng.choice(self.kinds)(width, height))

    def label(self, x: float, y: float, size: float = 10, words: int = 2) -> str:
        """A centred word or two."""
        return f"<text x={x:.1f} y={y + size * 0.35:.1f} font-size={size:.0f} text-anchor=middle>{self.text.phrase(1, words)[:22]}</text>"

    def box(self, x: float, y: float, w: float, h: float) -> str:
        """A box of a diagram with its words."""
        rng = self.rng
        radius = rng.choice([0, 0, 4, h / 2])
        return (
            f"<rect x={x:.1f} y={y:.1f} width={w:.1f} height={h:.1f} rx={radius:.1f} fill='{rng.choice(['white', self.tint, self.tint])}' stroke=#333 />"
            + self.label(x + w / 2, y + h / 2, min(11, h * 0.4), 2 if w > 90 else 1)
        )

    def flow_chart(self, width: float, height: float) -> str:
        """Boxes from top to bottom with arrows, one or two branches."""
        rng = self.rng
        rows = max(2, min(6, int(height / 55)))
        step = height / rows
        out = ""
        for r in range(rows):
            count = rng.choice([1, 1, 2, 3]) if width > 220 else 1
            for c in range(count):
                slot = width / count
                w = min(150, slot * 0.8)
                x, y = slot * (c + 0.5), r * step + 2
                out += self.box(x - w / 2, y, w, step * 0.55)
                if r < rows - 1:
                    out += f"<path d='M{x:.1f} {y + step * 0.55:.1f}V{y + step - 3:.1f}m-3 -5l3 5l3 -5' fill=none stroke=#333 />"
        return out

    def blocks(self, width: float, height: float) -> str:
        """Boxes side by side, joined by lines."""
        rng = self.rng
        columns, rows = max(2, int(width / 130)), max(1, min(4, int(height / 80)))
        w, h = width / columns, height / rows
        lines = boxes = ""
        for r in range(rows):
            for c in range(columns):
                if rng.random() < 0.15 and c and r:
                    continue
                x, y = c * w + 4, r * h + 4
                boxes += self.box(x, y, w * 0.72, h * 0.6)
                if c < columns - 1:
                    lines += f"<path d='M{x + w * 0.7:.1f} {y + h * 0.3:.1f}h{w * 0.3:.1f}' stroke=#333 />"
                if r < rows - 1 and rng.random() < 0.6:
                    lines += f"<path d='M{x + w * 0.36:.1f} {y + h * 0.6:.1f}v{h * 0.4:.1f}' stroke=#333 />"
        return lines + boxes

    def technical(self, width: float, height: float) -> str:
        """A patent-like line drawing: circles, rectangles, hatching, reference numbers with leader lines."""
        rng = self.rng
        out = ""
        for _ in range(rng.randint(5, 14)):
            x, y = rng.uniform(width * 0.1, width * 0.8), rng.uniform(height * 0.1, height * 0.8)
            w, h = rng.uniform(15, width * 0.35), rng.uniform(10, height * 0.3)
            stroke = f"fill=none stroke=#111 stroke-width={rng.choice([0.7, 1, 1.6])}"
            out += rng.choice(
                [
                    f"<ellipse cx={x:.1f} cy={y:.1f} rx={w / 2:.1f} ry={h / 2:.1f} {stroke} />",
                    f"<rect x={x:.1f} y={y:.1f} width={min(w, width - x):.1f} height={min(h, height - y):.1f} {stroke} />",
                    f"<path d='M{x:.1f} {y:.1f}q{w / 2:.1f} {-h / 2:.1f} {w / 3:.1f} {h / 3:.1f}t{-w / 3:.1f} {h / 4:.1f}' {stroke} />",
                ]
            )
            if rng.random() < 0.5:
                out += (
                    f"<path d='M{x:.1f} {y:.1f}L{x * 0.6 + width * 0.2:.1f} {y * 0.5:.1f}' stroke=#111 stroke-width=.6 />"
                    f"<text x={x * 0.6 + width * 0.2:.1f} y={max(9, y * 0.5 - 2):.1f} font-size=10>{rng.randint(1, 240)}</text>"
                )
        return out

    def map(self, width: float, height: float) -> str:
        """Polygons that share a patchwork, with place names."""
        rng = self.rng
        columns, rows = rng.randint(3, 6), rng.randint(3, 5)
        point = {
            (c, r): (
                width * c / columns + (rng.uniform(-0.3, 0.3) * width / columns if 0 < c < columns else 0),
                height * r / rows + (rng.uniform(-0.3, 0.3) * height / rows if 0 < r < rows else 0),
            )
            for c in range(columns + 1)
            for r in range(rows + 1)
        }
        hue = rng.randint(0, 359)
        out = ""
        for c in range(columns):
            for r in range(rows):
                corners = [point[c, r], point[c + 1, r], point[c + 1, r + 1], point[c, r + 1]]
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
                out += f"<polygon points='{path}' fill='hsl({hue},45%,{rng.randint(55, 92)}%)' stroke=#666 stroke-width=.7 />"
                if rng.random() < 0.4:
                    out += self.label(sum(x for x, _ in corners) / 4, sum(y for _, y in corners) / 4, 8, 1)
        return out

    def screen(self, width: float, height: float) -> str:
        """A mock of a program's window."""
        rng = self.rng
        out = (
            f"<rect x=.5 y=.5 width={width - 1:.0f} height={height - 1:.0f} fill=#fafafa stroke=#888 /><rect x=1 y=1 width={width - 2:.0f} height=16 fill='{self.accent}'/>"
            f"<circle cx=9 cy=9 r=3 fill=#f66 /><circle cx=19 cy=9 r=3 fill=#fc6 /><rect x=1 y=17 width={width * 0.22:.0f} height={height - 18:.0f} fill='{self.tint}'/>"
        )
        for i in range(int((height - 40) / 15)):
            y = 30 + i * 15
            out += f"<text x=7 y={y} font-size=8>{self.text.word()[:10]}</text>"
            if rng.random() < 0.75:
                out += f"<text x={width * 0.27:.0f} y={y} font-size=8>{self.text.phrase(2, 5)[: int(width * 0.13)]}</text>"
            else:
                out += f"<rect x={width * 0.27:.0f} y={y - 8} width={rng.uniform(0.2, 0.6) * width:.0f} height=11 fill='{rng.choice(['white', self.accent])}' stroke=#aaa />"
        return out

    def graph(self, width: float, height: float) -> str:
        """Nodes and edges."""
        rng = self.rng
        nodes = [(rng.uniform(15, width - 15), rng.uniform(15, height - 15)) for _ in range(rng.randint(5, 12))]
        out = ""
        for i, (x, y) in enumerate(nodes[1:], 1):
            tx, ty = nodes[rng.randrange(i)]
            out += f"<path d='M{x:.1f} {y:.1f}L{tx:.1f} {ty:.1f}' stroke=#555 />"
        for i, (x, y) in enumerate(nodes):
            out += f"<circle cx={x:.1f} cy={y:.1f} r=12 fill='{self.tint}' stroke=#333 /><text x={x:.1f} y={y + 3:.1f} font-size=9 text-anchor=middle>{chr(65 + i)}</text>"
        return out

    def triangles(self, width: float, height: float) -> str:
        """A school-book figure of geometry."""
        rng = self.rng
        points = [(rng.uniform(14, width - 14), rng.uniform(14, height - 14)) for _ in range(rng.randint(3, 5))]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        out = f"<polygon points='{path}' fill=none stroke=#111 stroke-width=1.2 />"
        out += f"<circle cx={width / 2:.1f} cy={height / 2:.1f} r={min(width, height) * 0.35:.1f} fill=none stroke=#111 />"
        return out + "".join(
            f"<text x={x + 3:.1f} y={y - 3:.1f} font-size=11 font-style=italic>{chr(65 + i)}</text>" for i, (x, y) in enumerate(points)
        )

    def circuit(self, width: float, height: float) -> str:
        """Wires with resistors and nodes."""
        rng = self.rng
        out = f"<rect x=6 y=12 width={width - 12:.0f} height={height - 24:.0f} fill=none stroke=#111 />"
        for i in range(rng.randint(2, 5)):
            x = width * (i + 1) / 7
            out += (
                f"<path d='M{x:.1f} 12V{height - 12:.1f}' stroke=#111 /><rect x={x - 5:.1f} y={height * 0.35:.1f} width=10 height={height * 0.25:.1f} fill=white stroke=#111 />"
                f"<text x={x + 8:.1f} y={height * 0.5:.1f} font-size=9>R{i + 1}</text>"
            )
        return out

    def logo(self, size: float) -> str:
        """A mark, perhaps with a word beside it."""
        rng, accent = self.rng, self.accent if self.rng.random() < 0.7 else "#333"
        mark = rng.choice(
            [
                f"<circle cx={size / 2} cy={size / 2} r={size / 2 - 1:.1f} fill='{accent}'/><circle cx={size / 2} cy={size / 2} r={size / 4} fill=white />",
                f"<polygon points='{size / 2},1 {size - 1},{size - 1} 1,{size - 1}' fill='{accent}'/>",
                f"<rect x=1 y=1 width={size - 2} height={size - 2} rx={size / 5} fill='{accent}'/><text x={size / 2} y={size * 0.72} font-size={size * 0.6} fill=white text-anchor=middle font-weight=bold>{self.text.word()[0].upper()}</text>",
                "".join(
                    f"<path d='M{size / 2} {size / 2}L{size / 2 + math.cos(k) * size / 2.1:.1f} {size / 2 + math.sin(k) * size / 2.1:.1f}' stroke='{accent}' stroke-width={size / 12:.1f} />"
                    for k in range(7)
                ),
                f"<path d='M{size * 0.1} {size * 0.1}H{size * 0.9}V{size * 0.5}Q{size / 2} {size * 1.1} {size * 0.1} {size * 0.5}Z' fill='{self.tint}' stroke='{accent}' stroke-width=2 />",
            ]
        )
        if rng.random() < 0.5:
            return svg(size, size, mark)
        word = self.text.word()[:9].upper()
        return svg(
            size * 1.2 + len(word) * size * 0.44,
            size,
            mark + f"<text x={size * 1.15:.1f} y={size * 0.66:.1f} font-size={size * 0.42:.1f} font-weight=bold fill='{accent}'>{word}</text>",
        )

    def signature(self, width: float, height: float) -> str:
        """A scrawl."""
        rng = self.rng
        x, path = 4.0, f"M4 {height / 2:.0f}"
        while x < width - 14:
            step = rng.uniform(5, 14)
            path += f"q{step / 2:.1f} {rng.uniform(-height, height) * 0.45:.1f} {step:.1f} {rng.uniform(-3, 3):.1f}"
            x += step
        return svg(
            width, height, f"<path d='{path}' fill=none stroke='{rng.choice(['#114', '#226', '#111'])}' stroke-width={rng.uniform(1, 2.2):.1f} />"
        )

    def stamp(self, size: float) -> str:
        """A round or square rubber stamp."""
        rng = self.rng
        ink = rng.choice(["#24a", "#a22", "#339"])
        words = self.label(size / 2, size / 2, size / 8, 1) + self.label(size / 2, size * 0.65, size / 10, 1)
        shape = (
            f"<circle cx={size / 2} cy={size / 2} r={size / 2 - 2} /><circle cx={size / 2} cy={size / 2} r={size / 2 - 7} />"
            if rng.random() < 0.6
            else f"<rect x=2 y={size * 0.2:.0f} width={size - 4} height={size * 0.6:.0f} />"
        )
        return svg(
            size,
            size,
            f"<g opacity=.75 transform='rotate({rng.randint(-14, 14)} {size / 2} {size / 2})'><g fill=none stroke='{ink}' stroke-width=2>{shape}</g><g fill='{ink}'>{words}</g></g>",
        )

    def code(self, size: float) -> str:
        """A QR-like or a bar code (not readable ones)."""
        rng = self.rng
        if rng.random() < 0.5:
            x, bars = 0.0, ""
            while x < size * 1.8:
                w = rng.choice([1, 1, 2, 3])
                bars += f"<rect x={x:.0f} y=0 width={w} height={size * 0.6:.0f} />"
                x += w + rng.choice([1, 1, 2, 3])
            return svg(
                size * 1.9,
                size * 0.8,
                bars + f"<text x={size * 0.9:.0f} y={size * 0.74:.0f} font-size=9 text-anchor=middle>{rng.randrange(10**12):012}</text>",
            )
        n, cells = 25, ""
        unit = size / n
        for r in range(n):
            for c in range(n):
                corner = (r < 8 or r > n - 9) and c < 8 or r < 8 and c > n - 9
                if not corner and rng.random() < 0.5:
                    cells += f"M{c * unit:.2f} {r * unit:.2f}h{unit:.2f}v{unit:.2f}h-{unit:.2f}z"
        eyes = "".join(
            f"<rect x={x * unit:.1f} y={y * unit:.1f} width={7 * unit:.1f} height={7 * unit:.1f} /><rect x={(x + 1) * unit:.1f} y={(y + 1) * unit:.1f} width={5 * unit:.1f} "
            f"height={5 * unit:.1f} fill=white /><rect x={(x + 2) * unit:.1f} y={(y + 2) * unit:.1f} width={3 * unit:.1f} height={3 * unit:.1f} />"
            for x, y in ((0, 0), (n - 7, 0), (0, n - 7))
        )
        return svg(size, size, f"<path d='{cells}'/>{eyes}")
