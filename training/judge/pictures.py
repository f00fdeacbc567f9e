"""The pages that were read worst, as pictures: what is there at the left, what was found at the right."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from learn.shards import Page

from . import score
from .product import Found

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#7f7f7f", "#e377c2")
HEIGHT = 1100
SCORE = 0.5


def draw_worst(folder: Path, pages: list[Page], found: list[list[Found]], classes: list[str], count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    judged = [(score.agreement(page, regions, classes, SCORE), i) for i, (page, regions) in enumerate(zip(pages, found))]
    for rank, (f1, i) in enumerate(sorted(judged)[:count], start=1):
        truth = [(classes[c], None, box) for box, c in zip(pages[i].boxes.tolist(), pages[i].classes.tolist())]
        regions = [(r.label, r.score, r.box) for r in found[i] if r.score >= SCORE]
        left, right = (_draw(pages[i], boxes, classes) for boxes in (truth, regions))
        both = Image.new("RGB", (left.width * 2 + 12, HEIGHT), "black")
        both.paste(left, (0, 0))
        both.paste(right, (left.width + 12, 0))
        both.save(folder / f"{rank:03}-f1-{f1:.2f}-{pages[i].path.stem}.jpg", quality=85)


def _draw(page: Page, boxes: list[tuple], classes: list[str]) -> Image.Image:
    scale = HEIGHT / page.height
    image = Image.open(page.path).convert("RGB").resize((max(1, round(page.width * scale)), HEIGHT))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=13)
    for label, value, box in boxes:
        colour = COLOURS[classes.index(label) % len(COLOURS)]
        x0, y0, x1, y1 = (v * scale for v in box)
        pen.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=2)
        text = label if value is None else f"{label} {value:.2f}"
        at = (x0, max(0, y0 - 14))
        pen.rectangle(pen.textbbox(at, text, font=font), fill="white")
        pen.text(at, text, fill=colour, font=font)
    return image
