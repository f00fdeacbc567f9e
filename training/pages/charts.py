"""Charts as SVG: bars, lines, pies, scatter, boxes, heat maps, Gantt. Words in a chart are part of the figure."""

from __future__ import annotations

import math
from random import Random

from .text import Text

PALETTES = [
    ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"],
    ["#222", "#666", "#999", "#bbb", "#ddd"],
    ["#003f5c", "#58508d", "#bc5090", "#ff6361", "#ffa600"],
    ["#264653", "#2a9d8f", "#e9c46a", "#f4a261", "#e76f51"],
    ["#0b3d91", "#3a6fd8", "#7aa5f0", "#b9d1fa", "#e0ebff"],
    ["#4caf50", "#8bc34a", "#cddc39", "#ffc107", "#795548"],
]


class Charts:
    """Draws charts in one palette."""

    def __init__(self, rng: Random, text: Text) -> None:
        self.rng, self.text = rng, text
        self.palette = rng.choice(PALETTES)
        self.kinds = [self.bars, self.lines, self.pie, self.scatter, self.boxes, self.heat, self.gantt, self.area]

    def make(self, width: float, height: float) -> str:
        """An SVG of the given size in pixels; everything hangs below one <g>, whose bounds are the figure's box."""
        rng = self.rng
        body = rng.choice(self.kinds)(width, height)
        frame = ""
        if rng.random() < 0.3:
            fill = rng.choice(["none", "#f5f5f5", "white", "#eef3fa"])
            frame = f"<rect x=0.5 y=0.5 width={width - 1:.0f} height={height - 1:.0f} fill='{fill}' stroke='{rng.choice(['#333', '#bbb', 'none'])}'/>"
        title = ""
        if rng.random() < 0.3:
            title = f"<text x={width / 2:.0f} y=13 text-anchor=middle font-size=12 font-weight=bold>{self.text.phrase(2, 4)}</text>"
        return f"<svg width={width:.0f} height={height:.0f} viewBox='0 0 {width:.0f} {height:.0f}'><g>{frame}{title}{body}</g></svg>"

    def colour(self, i: int) -> str:
        """The i-th colour, round and round."""
        return self.palette[i % len(self.palette)]

    def axes(self, width: float, height: float) -> tuple[str, tuple[float, float, float, float]]:
        """Axes with ticks; returns their drawing and the plot area (left, top, right, bottom)."""
        rng = self.rng
        left, top, right, bottom = 38.0, 20.0, width - 10, height - 30
        parts = [f"<path d='M{left} {top}V{bottom}H{right}' fill=none stroke=#333 />"]
        grid = rng.random() < 0.5
        for i in range(6):
            y = bottom - (bottom - top) * i / 5
            parts.append(f"<text x={left - 4} y={y + 3:.1f} font-size=9 text-anchor=end>{i * rng.choice([1, 10, 20])}</text>")
            if grid:
                parts.append(f"<path d='M{left} {y:.1f}H{right}' stroke=#ccc stroke-width=.6 />")
        if rng.random() < 0.6:
            parts.append(f"<text x={(left + right) / 2:.0f} y={height - 4:.0f} font-size=10 text-anchor=middle>{self.text.phrase(1, 3)}</text>")
        if rng.random() < 0.5:
            y = (top + bottom) / 2
            parts.append(f"<text font-size=10 text-anchor=middle transform='translate(10 {y:.0f}) rotate(-90)'>{self.text.phrase(1, 2)}</text>")
        return "".join(parts), (left, top, right, bottom)

    def legend(self, count: int, x: float, y: float) -> str:
        """Colour keys in a column."""
        return "".join(
            f"<rect x={x:.0f} y={y + i * 13:.0f} width=9 height=9 fill='{self.colour(i)}'/>"
            f"<text x={x + 13:.0f} y={y + 8 + i * 13:.0f} font-size=9>{self.text.word()[:12]}</text>"
            for i in range(count)
        )

    def bars(self, width: float, height: float) -> str:
        """Grouped or single bars, upright."""
        rng = self.rng
        drawing, (left, top, right, bottom) = self.axes(width, height)
        groups, series = rng.randint(3, 9), rng.randint(1, 3)
        slot = (right - left) / groups
        for g in range(groups):
            for s in range(series):
                tall = (bottom - top) * rng.uniform(0.08, 0.97)
                drawing += (
                    f"<rect x={left + g * slot + slot * 0.15 + s * slot * 0.7 / series:.1f} y={bottom - tall:.1f} "
                    f"width={slot * 0.7 / series:.1f} height={tall:.1f} fill='{self.colour(s)}'/>"
                )
            drawing += f"<text x={left + (g + 0.5) * slot:.1f} y={bottom + 11:.1f} font-size=8 text-anchor=middle>{self.text.word()[: max(2, int(slot / 6))]}</text>"
        return drawing + (self.legend(series, right - 60, top) if series > 1 else "")

    def curve(self, left: float, top: float, right: float, bottom: float, points: int) -> list[tuple[float, float]]:
        """A random walk across the plot area."""
        value, out = self.rng.random(), []
        for i in range(points):
            value = min(0.98, max(0.02, value + self.rng.gauss(0, 0.1)))
            out.append((left + (right - left) * i / (points - 1), bottom - (bottom - top) * value))
        return out

    def lines(self, width: float, height: float) -> str:
        """Lines with or without markers."""
        rng = self.rng
        drawing, area = self.axes(width, height)
        marks = rng.random() < 0.5
        count = rng.randint(1, 4)
        for s in range(count):
            points = self.curve(*area, rng.randint(5, 40))
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            dash = f"stroke-dasharray='{rng.choice(['none', '4 3', '2 2'])}'"
            drawing += f"<polyline points='{path}' fill=none stroke='{self.colour(s)}' stroke-width={rng.choice([1, 1.5, 2.5])} {dash}/>"
            if marks:
                drawing += "".join(f"<circle cx={x:.1f} cy={y:.1f} r=2.5 fill='{self.colour(s)}'/>" for x, y in points)
        return drawing + (self.legend(count, area[0] + 8, area[1]) if count > 1 else "")

    def area(self, width: float, height: float) -> str:
        """A filled curve."""
        drawing, (left, top, right, bottom) = self.axes(width, height)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in self.curve(left, top, right, bottom, 25))
        return drawing + f"<polygon points='{left},{bottom} {path} {right},{bottom}' fill='{self.colour(0)}' opacity=.7 />"

    def pie(self, width: float, height: float) -> str:
        """A pie or a ring, with a legend."""
        rng = self.rng
        radius = min(height / 2 - 18, width / 2 - 45, 130)
        radius = max(radius, 15)
        cx, cy = (radius + 8 if width > radius * 2 + 80 else width / 2), height / 2 + 4
        shares = [rng.uniform(0.2, 1) for _ in range(rng.randint(2, 5))]
        angle, drawing = rng.uniform(0, 6), ""
        for i, share in enumerate(shares):
            turn = share / sum(shares) * 2 * math.pi
            x1, y1 = cx + radius * math.cos(angle), cy + radius * math.sin(angle)
            angle += turn
            x2, y2 = cx + radius * math.cos(angle), cy + radius * math.sin(angle)
            drawing += (
                f"<path d='M{cx:.1f} {cy:.1f}L{x1:.1f} {y1:.1f}A{radius:.1f} {radius:.1f} 0 {int(turn > math.pi)} 1 {x2:.1f} {y2:.1f}Z' "
                f"fill='{self.colour(i)}' stroke=white />"
            )
        if rng.random() < 0.3:
            drawing += f"<circle cx={cx:.1f} cy={cy:.1f} r={radius * 0.55:.1f} fill=white />"
        return drawing + (self.legend(len(shares), cx + radius + 14, cy - 25) if width > radius * 2 + 80 else "")

    def scatter(self, width: float, height: float) -> str:
        """Clouds of points."""
        rng = self.rng
        drawing, (left, top, right, bottom) = self.axes(width, height)
        for s in range(rng.randint(1, 3)):
            cx, cy = rng.uniform(left, right), rng.uniform(top, bottom)
            for _ in range(rng.randint(15, 60)):
                x = min(right, max(left, rng.gauss(cx, (right - left) / 6)))
                y = min(bottom, max(top, rng.gauss(cy, (bottom - top) / 6)))
                drawing += f"<circle cx={x:.1f} cy={y:.1f} r=2 fill='{self.colour(s)}' opacity=.7 />"
        return drawing

    def boxes(self, width: float, height: float) -> str:
        """Box plots."""
        rng = self.rng
        drawing, (left, top, right, bottom) = self.axes(width, height)
        count = rng.randint(3, 8)
        slot = (right - left) / count
        for i in range(count):
            y = sorted(rng.uniform(top, bottom) for _ in range(5))
            x = left + (i + 0.5) * slot
            drawing += (
                f"<path d='M{x:.1f} {y[0]:.1f}V{y[4]:.1f}' stroke=#333 /><rect x={x - slot * 0.3:.1f} y={y[1]:.1f} width={slot * 0.6:.1f} "
                f"height={y[3] - y[1]:.1f} fill='{self.colour(i)}' stroke=#333 /><path d='M{x - slot * 0.3:.1f} {y[2]:.1f}h{slot * 0.6:.1f}' stroke=#000 />"
            )
        return drawing

    def heat(self, width: float, height: float) -> str:
        """A matrix of shaded cells."""
        rng = self.rng
        columns, rows = rng.randint(4, 14), rng.randint(4, 10)
        hue = rng.randint(0, 359)
        w, h = (width - 50) / columns, (height - 26) / rows
        cells = "".join(
            f"<rect x={45 + c * w:.1f} y={18 + r * h:.1f} width={w:.1f} height={h:.1f} fill='hsl({hue},70%,{rng.randint(20, 95)}%)'/>"
            for r in range(rows)
            for c in range(columns)
        )
        return cells + "".join(
            f"<text x=41 y={18 + (r + 0.6) * h:.1f} font-size=8 text-anchor=end>{self.text.word()[:7]}</text>" for r in range(rows)
        )

    def gantt(self, width: float, height: float) -> str:
        """Bars on a time axis."""
        rng = self.rng
        rows = rng.randint(4, 9)
        step = (height - 30) / rows
        drawing = "".join(
            f"<path d='M{80 + (width - 90) * i / 6:.1f} 20V{height - 8:.1f}' stroke=#ddd /><text x={80 + (width - 90) * i / 6:.1f} y=16 "
            f"font-size=8 text-anchor=middle>{i + 1}</text>"
            for i in range(7)
        )
        for r in range(rows):
            start = 80 + (width - 90) * (r / rows * 0.7 + rng.uniform(0, 0.1))
            drawing += (
                f"<text x=74 y={24 + (r + 0.6) * step:.1f} font-size=9 text-anchor=end>{self.text.word()[:12]}</text>"
                f"<rect x={start:.1f} y={24 + (r + 0.15) * step:.1f} width={(width - 90) * rng.uniform(0.08, 0.25):.1f} height={step * 0.6:.1f} fill='{self.colour(r)}'/>"
            )
        return drawing
