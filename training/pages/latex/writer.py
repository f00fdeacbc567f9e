"""Writes LaTeX documents whose every block has a colour: articles, reports and lecture notes as the sciences have them."""

from __future__ import annotations

from random import Random
from urllib.parse import unquote

from .. import photos
from ..fonts import families
from ..text import Text

#: languages that these fonts can write and that are read from the left
LANGUAGES = ["en"] * 8 + ["pl"] * 6 + ["de", "fr", "es", "cs", "it", "pt", "ru", "uk", "el"]
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {c: "\\" + c for c in "&%$#_{}"}
GREEK = r"\alpha \beta \gamma \delta \epsilon \theta \lambda \mu \pi \rho \sigma \phi \omega \Gamma \Delta \Omega \Phi".split()
#: families that are Type 1 files, which XeLaTeX cannot embed
TYPE1 = ("C059", "Nimbus", "P052", "URW", "Z003")
HEADINGS = [r"\Large\bfseries", r"\large\bfseries", r"\Large\scshape\centering", r"\large\bfseries\itshape", r"\large\sffamily\bfseries"]


def escape(words: str) -> str:
    """Plain text as LaTeX."""
    return "".join(SPECIAL.get(c, c) for c in words.replace("&amp;", "&"))


class Source:
    """A document in the making: its blocks, and which colour is which label."""

    def __init__(self, lang: str, columns: int) -> None:
        self.lang, self.columns = lang, columns
        self.preamble: list[str] = []
        self.body: list[str] = []
        self.names: dict[int, str] = {}

    def colour(self, name: str) -> str:
        """The command that gives ink the next colour, which is a label of the class `name`."""
        code = (len(self.names) + 1) * 40503 % 0xFFFFFE
        self.names[code] = name
        return rf"\color{{L{code}}}"

    def text(self, black: bool) -> str:
        """The document in black, or in its colours."""
        colours = (f"\\definecolor{{L{code}}}{{HTML}}{{{0 if black else code:06X}}}" for code in self.names)
        picture = r"\includegraphics[width=#2,height=#3]{#4}" if black else r"\rule{#2}{#3}"
        define = rf"\newcommand{{\pic}}[4]{{{{#1{picture}}}}}"
        return "\n".join([*self.preamble, *colours, define, r"\begin{document}", *self.body, r"\end{document}"])


def write(rng: Random) -> Source:
    """A document of some pages."""
    return Writer(rng).write()


class Writer:
    """One document's looks, counters and block makers."""

    def __init__(self, rng: Random) -> None:
        lang = rng.choice(LANGUAGES)
        self.rng, self.text = rng, Text(rng, lang)
        self.out = Source(lang, 2 if rng.random() < 0.4 else 1)
        self.sections = [rng.randint(0, 5), rng.randint(0, 3)]
        self.counters = {"table": rng.randint(0, 9), "figure": rng.randint(0, 9), "formula": rng.randint(0, 30)}
        self.numbered, self.maths = rng.random() < 0.7, rng.random() < 0.75
        self.heading_look = rng.choice(HEADINGS)
        self.preamble()

    def preamble(self) -> None:
        """Paper, margins, fonts, running heads and feet."""
        rng, out = self.rng, self.out
        paper, size = rng.choice(["a4paper", "a4paper", "letterpaper", "a5paper", "b5paper"]), rng.choice([10, 10, 11, 12])
        twocolumn = ",twocolumn" if out.columns == 2 else ""
        margin = rng.uniform(0.09, 0.2) if out.columns == 1 else rng.uniform(0.07, 0.11)
        knows = [name for name in families("serif", out.lang) if not name.startswith(TYPE1)]
        roman = rng.choice(knows)
        if out.lang not in ("ru", "uk", "el") and rng.random() < 0.5:
            roman = "Latin Modern Roman"
        elif rng.random() < 0.3:
            roman = "CMU Serif"
        sans = rng.choice([name for name in families("sans", out.lang) if not name.startswith(TYPE1)])
        look = self.heading_look
        out.preamble += [
            rf"\documentclass[{size}pt{twocolumn}]{{article}}",
            rf"\usepackage[{paper},hmargin={margin:.3f}\paperwidth,vmargin={rng.uniform(0.08, 0.14):.3f}\paperheight]{{geometry}}",
            r"\usepackage{fontspec,amsmath,xcolor,graphicx,booktabs,array,fancyhdr}",
            rf"\setmainfont{{{roman}}}\setsansfont{{{sans}}}",
            r"\makeatletter",
            rf"\renewcommand\section{{\@startsection{{section}}{{1}}{{0pt}}{{-3ex plus -1ex}}{{1.5ex}}{{\normalfont{look}}}}}",
            rf"\renewcommand\subsection{{\@startsection{{subsection}}{{2}}{{0pt}}{{-2.4ex plus -1ex}}{{1ex}}{{\normalfont{look.replace('Large', 'large')}\normalsize}}}}",
            r"\makeatother",
            r"\pagestyle{fancy}\fancyhf{}\emergencystretch=3em\tolerance=3000\hbadness=10000\vbadness=10000\hfuzz=50pt",
            rf"\renewcommand{{\headrulewidth}}{{{rng.choice(['0pt', '0pt', '0.4pt'])}}}\renewcommand{{\baselinestretch}}{{{rng.choice([1, 1, 1.1, 1.3])}}}",
            rf"\setlength{{\parindent}}{{{rng.choice(['15pt', '15pt', '0pt'])}}}\setlength{{\parskip}}{{{rng.choice(['0pt', '0pt', '5pt'])}}}",
            rf"\setcounter{{page}}{{{rng.randint(1, 200)}}}",
        ]
        head = lambda place, words: rf"\fancyh{'ead' if place in 'LCR' else 'f'}[{place.upper()}]{{{out.colour('header_footer')}\small {words}}}"
        if rng.random() < 0.6:
            out.preamble.append(head("L", self.words(2, 6)))
            out.preamble.append(head("R", rng.choice([r"\thepage", self.words(1, 3)])))
        if rng.random() < 0.8:
            out.preamble.append(rf"\fancyfoot[{rng.choice('CCR')}]{{{out.colour('header_footer')}\thepage}}")

    # -- words ---------------------------------------------------------------------------------------------------------

    def words(self, low: int, high: int) -> str:
        return escape(self.text.phrase(low, high))

    def running(self, characters: int) -> str:
        """Text of a paragraph with emphasis and small formulas strewn in."""
        rng, out = self.rng, []
        for word in escape(self.text.paragraph(characters)).split(" "):
            chance = rng.random()
            if chance < 0.01:
                word = rf"\emph{{{word}}}"
            elif chance < 0.015:
                word = rf"\textbf{{{word}}}"
            elif self.maths and chance < 0.05:
                word = f"${self.term()}$"
            out.append(word)
        return " ".join(out)

    def term(self) -> str:
        """A letter, perhaps with an index or a power."""
        rng = self.rng
        letter = rng.choice([*"abcfghkmnpqrstuvxyzABEFGKLMNPRSTVX", *GREEK])
        return letter + rng.choice(["", "", f"_{{{rng.choice('ijkn012')}}}", f"^{{{rng.choice('23nk')}}}", f"_{{{rng.choice('ij')}}}^{{{rng.choice('2n')}}}"])

    def formula(self, depth: int = 0) -> str:
        """Terms with operators, fractions, roots, sums, integrals, matrices."""
        rng = self.rng
        parts = []
        for _ in range(rng.randint(1, 3 if depth else 4)):
            inner = lambda: self.formula(depth + 1) if depth < 2 else self.term()
            parts.append(
                rng.choices(
                    [
                        self.term,
                        lambda: rf"\frac{{{inner()}}}{{{inner()}}}",
                        lambda: rf"\sqrt{{{inner()}}}",
                        lambda: rf"\sum_{{{rng.choice('ijkn')}=1}}^{{{rng.choice('nNm')}}} {inner()}",
                        lambda: rf"\int_{{{rng.choice('0a')}}}^{{{rng.choice('1bx')}}} {inner()}\,dx",
                        lambda: rf"\left({inner()}\right)",
                        lambda: r"\begin{pmatrix}" + r"\\".join(" & ".join(self.term() for _ in range(3)) for _ in range(2)) + r"\end{pmatrix}",
                    ],
                    [50, 14, 6, 8, 6, 8, 1 if depth == 0 else 0],
                )[0]()
            )
        joined = parts[0] + "".join(rng.choice(["+", "-", r"\cdot ", " "]) + part for part in parts[1:])
        relation = rng.choice(["=", "=", r"\leq", r"\approx", r"\in", r"\to"])
        return joined if depth else f"{self.term()} {relation} {joined}"

    # -- blocks --------------------------------------------------------------------------------------------------------

    def paragraph(self, low: int = 150, high: int = 900) -> str:
        note = ""
        if self.rng.random() < 0.04:
            note = rf"\footnote{{{self.out.colour('text')}{self.running(self.rng.randint(30, 200))}}}"
        return rf"{{\leavevmode{self.out.colour('text')}{self.running(self.rng.randint(low, high))}{note}\par}}"

    def heading(self, level: int) -> str:
        self.sections[level - 1] += 1
        self.sections[level:] = [0] * (2 - level)
        number = ".".join(str(n) for n in self.sections[:level]) + r"\quad " if self.numbered else ""
        return rf"\{'sub' * (level - 1)}section*{{{self.out.colour('title')}{number}{self.words(1, 8)}}}"

    def items(self, count: int | None = None, long: bool | None = None, marks: str | None = None) -> str:
        """A list; `marks` is what stands before the items, # for their numbers."""
        rng = self.rng
        long = rng.random() < 0.5 if long is None else long
        marks = marks or rng.choice([r"\textbullet", r"\textbullet", "--", "#.", "(#)", "#)"])
        tight = rng.choice([r"\itemsep=0pt\parskip=0pt", ""])
        items = []
        for i in range(count or rng.randint(2, 7)):
            colour = self.out.colour("list")
            words = self.running(rng.randint(60, 300)) if long else self.words(2, 12)
            items.append(rf"\item[{{{colour}{marks.replace('#', str(i + 1))}}}]{{{colour}\leavevmode {words}\par}}")
        return rf"\begin{{itemize}}{tight} {' '.join(items)} \end{{itemize}}"

    def caption(self, of: str) -> str:
        self.counters[of] += 1
        label = f"{escape(self.text.names[0 if of == 'table' else 1])} {self.counters[of]}{self.rng.choice('.:')}"
        label = self.rng.choice([label, rf"\textbf{{{label}}}"])
        words = self.words(2, 10) if self.rng.random() < 0.6 else self.running(self.rng.randint(60, 260))
        return rf"{{\small{self.out.colour('caption')}{label} {words}\par}}"

    def cell(self, kind: str) -> str:
        if kind == "r":
            return escape(self.text.number())
        return self.words(1, 3) if kind == "l" else self.running(self.rng.randint(20, 90))

    def table(self) -> str:
        """A table with its caption, in the text or afloat."""
        rng = self.rng
        columns = rng.choice(["lrr", "lrrr", "lrrrr", "llr", "lll", "lp", "lpr"] if self.out.columns == 1 else ["lrr", "lrrr", "lr", "lp"])
        grid = rng.random() < 0.3
        widths = columns.replace("p", r"p{0.5\linewidth}" if len(columns) < 3 else r"p{0.35\linewidth}")
        spec = "|" + widths.replace("r", "r|").replace("l|", "l").replace("l", "l|") + "|" if grid and "p" not in columns else widths
        line = r"\hline" if grid else rng.choice(["", "", "", r"\midrule"])
        rows = [" & ".join(self.cell(kind) for kind in columns) + rf" \\ {line if grid or rng.random() < 0.2 else ''}" for _ in range(rng.randint(2, 14))]
        head = " & ".join(rf"\textbf{{{self.words(1, 1)}}}" for _ in columns) + r" \\"
        top, middle, bottom = (r"\hline",) * 3 if grid else (r"\toprule", r"\midrule", r"\bottomrule")
        table = rf"{{{self.out.colour('table')}\begin{{tabular}}{{{spec}}}{top} {head}{middle} {' '.join(rows)} {bottom if not grid else ''}\end{{tabular}}}}"
        return self.afloat("table", table)

    def figure(self) -> str:
        """A photograph with its caption."""
        rng = self.rng
        width = rng.uniform(0.4, 1.0)
        file = unquote(rng.choice(photos.files()).removeprefix("file://"))
        picture = rf"\pic{{{self.out.colour('figure')}}}{{{width:.2f}\linewidth}}{{{width * rng.uniform(0.4, 0.9):.2f}\linewidth}}{{{file}}}"
        return self.afloat("figure", picture)

    def afloat(self, kind: str, body: str) -> str:
        rng = self.rng
        caption = self.caption(kind) if rng.random() < 0.85 else ""
        above = kind == "table" and rng.random() < 0.7
        inner = caption + r"\smallskip " + body if above else body + r"\par\smallskip " + caption
        wide = "*" if self.out.columns == 2 and rng.random() < 0.25 else ""
        if rng.random() < 0.75:
            return rf"\begin{{{kind}{wide}}}[{'t' if wide else rng.choice(['t', 'tb', 'htb'])}]\centering {inner}\end{{{kind}{wide}}}"
        return rf"\begin{{center}}{inner}\end{{center}}"

    def equation(self) -> str:
        colour = self.out.colour("formula")
        self.counters["formula"] += 1
        tag = rf"\tag*{{{colour}({self.counters['formula']})}}" if self.rng.random() < 0.6 else ""
        return rf"\begin{{equation*}}{{{colour}{self.formula()}}}{tag}\end{{equation*}}"

    def contents(self) -> str:
        """A table of contents, which is one table."""
        lines = []
        for _ in range(self.rng.randint(6, 26)):
            indent = self.rng.choice(["", "", r"\hspace*{1.5em}"])
            lines.append(rf"\noindent {indent}{self.words(2, 8)}\dotfill {self.rng.randint(1, 300)}\par")
        title = rf"\section*{{{self.out.colour('title')}{escape(self.text.names[4])}}}"
        return rf"{title}{{{self.out.colour('table')}\leavevmode {' '.join(lines)}}}\medskip"

    def opening(self) -> str:
        """Title, authors, abstract."""
        rng, out = self.rng, self.out
        look = rng.choice([r"\LARGE", r"\huge", r"\Large\bfseries"])
        parts = [rf"{{{look}{out.colour('title')}{self.words(3, 12)}\par}}\bigskip"]
        if rng.random() < 0.9:
            names = ", ".join(escape(self.text.name()) for _ in range(rng.randint(1, 5)))
            parts.append(rf"{{{out.colour('text')}{names}\par}}\medskip")
        if rng.random() < 0.5:
            parts.append(rf"{{\small{out.colour('text')}{escape(self.text.company())}, {escape(self.text.date())}\par}}\bigskip")
        abstract = ""
        if rng.random() < 0.6:
            head = rf"{{\centering\small\bfseries{out.colour('title')}{self.words(1, 1)}\par}}\smallskip"
            abstract = rf"{head}{{\small\leavevmode{out.colour('text')}{self.running(rng.randint(300, 900))}\par}}\bigskip"
        centred = r"\begin{center}" + "".join(parts) + r"\end{center}"
        return rf"\twocolumn[{centred}{abstract}]" if out.columns == 2 else centred + abstract

    def write(self) -> Source:
        rng, out = self.rng, self.out
        if rng.random() < 0.7:
            out.body.append(self.opening())
        if rng.random() < 0.2:
            out.body.append(self.contents())
        makers = [
            (self.paragraph, 50),
            (lambda: self.heading(1), 5),
            (lambda: self.heading(2), 8),
            (self.items, 8),
            (self.table, 7),
            (self.figure, 6),
            (self.equation, 16 if self.maths else 0),
        ]
        for _ in range(rng.randint(25, 60)):
            out.body.append(rng.choices([maker for maker, _ in makers], [weight for _, weight in makers])[0]())
        if rng.random() < 0.5:
            title = rf"\section*{{{out.colour('title')}{escape(self.text.names[5])}}}"
            out.body.append(title + self.items(rng.randint(6, 18), True, "[#]"))
        return out
