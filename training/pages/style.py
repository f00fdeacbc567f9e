"""How one document looks: drawn once, shared by all of its pages, as in real documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from .fonts import draw_family
from .text import CJK, RTL, Text, draw_language

#: paper -> (width, height) in CSS pixels (1/96 inch), portrait
PAPERS = {
    "A4": (794, 1123),
    "Letter": (816, 1056),
    "A5": (559, 794),
    "B5": (665, 944),
    "Legal": (816, 1344),
    "book": (576, 864),
    "square": (760, 800),
    "tabloid": (1056, 1400),
}
SLIDES = [(960, 540), (960, 540), (960, 600), (960, 720)]
BULLETS = ["•", "•", "•", "–", "–", "▪", "■", "○", "●", "*", "➢", "✓", "►", "→", "◆", "·"]
MATH_FONTS = [
    "Latin Modern Math",
    "Latin Modern Math",
    "TeX Gyre Termes Math",
    "TeX Gyre Pagella Math",
    "TeX Gyre Schola Math",
    "TeX Gyre Bonum Math",
    "STIX Math",
    "TeX Gyre DejaVu Math",
]
NUMBERINGS = ["1.", "1.", "1)", "(1)", "a)", "(a)", "i.", "(i)", "A.", "[1]", "§ 1.", "①"]


@dataclass
class Heading:
    """The look of one level of headings."""

    css: str
    numbered: bool


@dataclass
class Style:
    """A document's look. Lengths are CSS pixels; `size` is the body font's size."""

    lang: str
    width: int
    height: int
    margins: tuple[int, int, int, int]  # top, right, bottom, left
    size: float
    leading: float
    columns: int
    gap: int
    body: str
    head: str
    mono: str
    math: str
    ink: str
    accent: str
    tint: str
    paper: str
    justified: bool
    indented: bool
    bullet: str
    numbering: str
    caption_css: str
    caption_above_tables: bool
    caption_above_figures: bool
    caption_bold_label: bool
    headings: list[Heading] = field(default_factory=list)
    item_space: float = 0.2  # between list items, in em
    rule: str = ""
    extra: str = ""

    @property
    def inner(self) -> tuple[int, int]:
        """Width and height between the margins."""
        top, right, bottom, left = self.margins
        return self.width - left - right, self.height - top - bottom

    @property
    def column_width(self) -> float:
        """Width of one text column."""
        return (self.inner[0] - self.gap * (self.columns - 1)) / self.columns


def colour(rng: Random, low: int, high: int) -> str:
    """A random hue with lightness between `low` and `high` percent."""
    return f"hsl({rng.randint(0, 359)},{rng.randint(25, 95)}%,{rng.randint(low, high)}%)"


def draw_heading(rng: Random, level: int, style: Style) -> Heading:
    """Headings run from barely different from the text to large coloured bands."""
    scale = {1: rng.uniform(1.15, 2.3), 2: rng.uniform(1.0, 1.55), 3: rng.uniform(0.95, 1.2)}[level]
    css = [f"font-size:{scale:.2f}em", f"line-height:{rng.uniform(1.05, 1.35):.2f}"]
    weight = rng.choices(["bold", "normal", "600"], [75, 15, 10])[0]
    css.append(f"font-weight:{weight}")
    marked = weight != "normal" or scale > 1.25
    if rng.random() < (0.15 if marked else 0.6):
        css.append("font-style:italic")
        marked = True
    if rng.random() < 0.18 or not marked:
        css.append(rng.choice(["text-transform:uppercase", "text-transform:uppercase;letter-spacing:.06em", "font-variant:small-caps"]))
    css.append(f"text-align:{rng.choices(['start', 'center', 'end'], [70, 28, 2])[0]}")
    if rng.random() < 0.35:
        css.append(f"color:{style.accent}")
    css.append(f"margin:{rng.uniform(0.5, 1.8):.2f}em 0 {rng.uniform(0.15, 0.9):.2f}em")
    if level < 3:
        decoration = rng.random()
        if decoration < 0.08:
            css.append(f"border-bottom:{rng.choice([1, 1, 2])}px solid {rng.choice([style.ink, style.accent])};padding-bottom:3px")
        elif decoration < 0.11:
            css.append(f"border-top:1px solid {style.accent};padding-top:4px")
        elif decoration < 0.15:
            css.append(f"background:{style.accent};color:white;padding:4px 8px")
        elif decoration < 0.19:
            css.append(f"background:{style.tint};padding:4px 8px")
        elif decoration < 0.21:
            css.append(f"border-left:5px solid {style.accent};padding-left:9px")
    return Heading(";".join(css), rng.random() < 0.4)


def draw_style(rng: Random, kind: str) -> Style:
    """A style that suits a kind of document (see layouts.KINDS)."""
    lang = draw_language(rng)
    if kind == "slides":
        width, height = rng.choice(SLIDES)
    else:
        paper = rng.choices(list(PAPERS), [62, 12, 5, 5, 2, 5, 2, 2])[0]
        if kind == "newspaper":
            paper = rng.choice(["A4", "tabloid", "tabloid", "Letter"])
        elif kind == "book":
            paper = rng.choices(list(PAPERS), [30, 8, 22, 20, 0, 20, 0, 0])[0]
        width, height = PAPERS[paper]
        if rng.random() < {"brochure": 0.4, "tables": 0.25, "form": 0.08}.get(kind, 0.03):
            width, height = height, width
    unit = min(width, height)
    margin = lambda low, high: round(unit * rng.uniform(low, high))
    side = margin(0.045, 0.15)
    margins = (margin(0.07, 0.13), side if rng.random() < 0.6 else margin(0.05, 0.15), margin(0.07, 0.13), side)
    size = {"slides": rng.uniform(17, 26), "book": rng.uniform(11.5, 15), "newspaper": rng.uniform(9.5, 13), "magazine": rng.uniform(10.5, 14)}.get(
        kind, rng.choice([rng.uniform(11.5, 15), rng.uniform(12, 17.5)])
    )
    if kind != "slides":
        size *= min(1.0, (unit / 794) ** 0.4)
    columns = {
        "paper": rng.choices([1, 2], [35, 65])[0],
        "newspaper": rng.choice([3, 4, 4, 5]),
        "magazine": rng.choice([2, 2, 3, 3, 4]),
        "patent": rng.choice([1, 2]),
        "reference": rng.choices([1, 2, 3], [50, 35, 15])[0],
        "brochure": rng.choice([1, 2, 3]),
    }.get(kind, rng.choices([1, 2, 3], [88, 10, 2])[0])
    if kind == "brochure" and width > height:
        columns = rng.choice([2, 3, 3, 4])
    if columns > 1:
        size = min(size, rng.uniform(10.5, 14))
    serif = rng.random() < {"paper": 0.75, "book": 0.8, "legal": 0.7, "slides": 0.12, "newspaper": 0.75, "invoice": 0.25}.get(kind, 0.45)
    body_kind = "mono" if rng.random() < 0.02 else "serif" if serif else "sans"
    body = draw_family(rng, body_kind, lang)
    mood = rng.random()
    head = body if mood < 0.55 else draw_family(rng, "sans" if mood < 0.88 else "serif" if mood < 0.94 else "display", lang)
    colourful = rng.random() < {"magazine": 0.9, "brochure": 0.95, "slides": 0.9, "legal": 0.1, "book": 0.2}.get(kind, 0.45)
    ink = rng.choices(["#000", "#111", "#222", "#333", "#1a2233"], [60, 15, 12, 8, 5])[0]
    style = Style(
        lang=lang,
        width=width,
        height=height,
        margins=margins,
        size=round(size, 2),
        leading=round(
            rng.choice([rng.uniform(1.12, 1.35), rng.uniform(1.2, 1.5), rng.uniform(1.4, 1.8)] if columns < 3 else [rng.uniform(1.1, 1.35)]), 2
        ),
        columns=columns,
        gap=max(16, round(unit * rng.uniform(0.022, 0.05))),
        body=body,
        head=head,
        mono=draw_family(rng, "mono", "en"),
        math=rng.choice(MATH_FONTS),
        ink=ink,
        accent=colour(rng, 18, 48) if colourful else ink,
        tint=colour(rng, 86, 96) if colourful else f"#{rng.choice('cde') * 3}",
        paper="#fff" if rng.random() < (0.75 if kind in ("slides", "brochure", "magazine") else 0.96) else colour(rng, 90, 98),
        justified=rng.random() < {"paper": 0.85, "book": 0.9, "legal": 0.75, "newspaper": 0.75, "slides": 0}.get(kind, 0.5),
        indented=rng.random() < {"paper": 0.6, "book": 0.8, "newspaper": 0.6}.get(kind, 0.2),
        bullet=rng.choice(BULLETS),
        numbering=rng.choice(NUMBERINGS),
        caption_css=";".join(
            [
                f"font-size:{rng.uniform(0.78, 1.0):.2f}em",
                f"text-align:{rng.choice(['start', 'start', 'center', 'center', 'justify'])}",
                rng.choices(["", "font-style:italic", "font-weight:bold", f"font-family:{head}"], [60, 20, 10, 10])[0],
                rng.choices(["", "color:#555"], [85, 15])[0],
            ]
        ),
        caption_above_tables=rng.random() < 0.72,
        caption_above_figures=rng.random() < 0.25,
        caption_bold_label=rng.random() < 0.4,
    )
    if kind == "slides" and rng.random() < 0.2:
        style.paper, style.ink, style.accent, style.tint = colour(rng, 8, 22), "#f4f4f4", colour(rng, 65, 85), "rgba(255,255,255,.12)"
        style.extra += ".unit svg{background:#fff;color:#111}"  # drawings are dark on light
    style.rule = rng.choice(["#888", "#000", style.accent]) if rng.random() < 0.14 else ""
    style.item_space = rng.choice([0.0, 0.1, 0.2, 0.2, 0.5, 0.9])
    style.headings = [draw_heading(rng, level, style) for level in (1, 2, 3)]
    if rng.random() < 0.04:
        style.extra += (
            f".sheet::after{{content:'';position:absolute;inset:{rng.randint(8, 22)}px;border:{rng.choice([1, 2, 3])}px solid {style.accent}}}"
        )
    if rng.random() < 0.025:  # a watermark: nothing that is to be found
        style.extra += (
            f".sheet::before{{content:'{rng.choice(['DRAFT', 'COPY', 'WZÓR', 'CONFIDENTIAL', 'PROJEKT'])}';position:absolute;left:10%;top:42%;font-size:{style.width / 6:.0f}px;"
            f"color:{rng.choice(['#888', style.accent])};opacity:.{rng.randint(10, 22)};transform:rotate(-{rng.randint(20, 55)}deg)}}"
        )
    return style


def css(style: Style) -> str:
    """The document's style sheet."""
    spacing = "0" if style.indented else f"{style.size * 0.55:.1f}px"
    align = "justify" if style.justified else "start"
    levels = "".join(f".h{i + 1}{{{heading.css}}}" for i, heading in enumerate(style.headings))
    hyphens = "auto" if style.justified or style.columns > 2 else "manual"
    return f"""
@page{{size:{style.width}px {style.height}px;margin:0}}
*{{box-sizing:border-box}} html,body{{margin:0;padding:0;-webkit-print-color-adjust:exact}}
.sheet{{position:relative;width:{style.width}px;height:{style.height}px;overflow:hidden;break-after:page;background:{style.paper};
 color:{style.ink};font:{style.size}px/{style.leading} {style.body};direction:{"rtl" if style.lang in RTL else "ltr"};
 {"word-break:break-all;" if style.lang in CJK else "overflow-wrap:break-word;"}hyphens:{hyphens};font-variant-ligatures:common-ligatures}}
.half{{position:absolute;top:0;height:100%;overflow:hidden}}
.main{{position:absolute;display:flex;flex-direction:column}} .main>.flow{{flex:1 1 0;min-height:0}}
.flow{{column-fill:auto;overflow:clip;overflow-clip-margin:6px}}
.flow>*:first-child,.main>.top>*:first-child{{margin-top:0!important}}
.at{{position:absolute}}
p,.p{{margin:0 0 {spacing};text-align:{align};text-indent:{f"{style.size * 1.4:.1f}px" if style.indented else "0"};orphans:2;widows:2}}
.flat{{text-indent:0;text-align:start}}
.h1,.h2,.h3{{font-family:{style.head};break-after:avoid;break-inside:avoid;text-indent:0;hyphens:manual}}
.li{{position:relative;text-align:{align};hyphens:{hyphens};margin-bottom:{style.size * style.item_space:.1f}px;orphans:2;widows:2}}
.li>.mk{{display:inline-block;text-align:start;text-indent:0;hyphens:manual;white-space:nowrap}}
.unit{{break-inside:avoid;margin:{style.size * 0.9:.1f}px 0}} .unit svg,.unit img{{display:block}}
.cap{{{style.caption_css};margin:4px 0;break-inside:avoid;text-indent:0;line-height:1.25}}
.note{{font-size:.8em;line-height:1.25;margin:1px 0;text-align:{align}}} .notes{{margin-top:8px;padding-top:4px}}
.code{{font-family:{style.mono};font-size:.82em;white-space:pre;line-height:1.25;margin:.6em 0;overflow:hidden;text-align:left;direction:ltr;break-inside:avoid}}
.eq{{display:flex;align-items:center;justify-content:center;break-inside:avoid;margin:.7em 0;text-indent:0;direction:ltr}} .eq .no{{position:absolute}}
table{{border-collapse:collapse;text-indent:0;hyphens:manual;line-height:1.2}} tr{{break-inside:avoid}} td,th{{text-align:start;font-weight:normal}}
math{{font-size:1.06em;font-family:'{style.math}'}} svg{{direction:ltr}} svg text{{font-family:{style.body}}}
{levels}{style.extra}"""


def draw_text(rng: Random, style: Style) -> Text:
    """The writer for a document of this style."""
    return Text(rng, style.lang)
