"""Random mathematics as MathML, from a small grammar."""

from __future__ import annotations

from random import Random

LETTERS = list("abcdefghijkmnpqrstuvwxyzABCDEFGHKLMNPQRSTUVWXYZ") + list("αβγδεζηθκλμνξπρστφχψωΓΔΘΛΠΣΦΨΩ")
RELATIONS = ["=", "=", "=", "=", "≤", "≥", "<", "≈", "≡", "∈", "→", "∼", "∝"]
FUNCTIONS = ["sin", "cos", "log", "exp", "min", "max", "ln", "det", "lim", "Pr", "tr"]


class Formula:
    """A grammar over MathML elements; `depth` bounds the nesting."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def atom(self) -> str:
        """A letter or a number, perhaps with scripts."""
        rng = self.rng
        chance = rng.random()
        if chance < 0.2:
            return f"<mn>{rng.choice([rng.randint(0, 12), round(rng.uniform(0, 9), 2)])}</mn>"
        letter = f"<mi>{rng.choice(LETTERS)}</mi>"
        if chance < 0.5:
            return letter
        index = rng.choice([f"<mi>{rng.choice('ijkmnt')}</mi>", f"<mn>{rng.randint(0, 9)}</mn>", "<mrow><mi>i</mi><mo>+</mo><mn>1</mn></mrow>"])
        if chance < 0.7:
            return f"<msub>{letter}{index}</msub>"
        if chance < 0.86:
            return f"<msup>{letter}{index}</msup>"
        if chance < 0.93:
            return f"<msubsup>{letter}{index}<mn>2</mn></msubsup>"
        return f"<mover>{letter}<mo>{rng.choice('^¯~˙→')}</mo></mover>"

    def term(self, depth: int) -> str:
        """An atom, or one of the constructions that make formulas tall."""
        rng = self.rng
        if depth <= 0:
            return self.atom()
        chance = rng.random()
        if chance < 0.42:
            return self.atom()
        if chance < 0.62:
            return f"<mfrac><mrow>{self.sum(depth - 1)}</mrow><mrow>{self.sum(depth - 1)}</mrow></mfrac>"
        if chance < 0.69:
            return f"<msqrt>{self.sum(depth - 1)}</msqrt>"
        if chance < 0.80:
            sign = rng.choice("∑∑∏∫∫∮⋃")
            bounds = f"<mrow><mi>{rng.choice('ijkn')}</mi><mo>=</mo><mn>{rng.randint(0, 1)}</mn></mrow><mi>{rng.choice('nNmMT∞')}</mi>"
            tag = "msubsup" if sign in "∫∮" else "munderover"
            tail = f"<mo>d</mo><mi>{rng.choice('xtyzs')}</mi>" if sign in "∫∮" else ""
            return f"<{tag}><mo>{sign}</mo>{bounds}</{tag}>{self.term(depth - 1)}{tail}"
        if chance < 0.93:
            name = f"<mi>{rng.choice(FUNCTIONS + list('fgFGPEHuvfgFGPEHuv'))}</mi>"
            inner = "<mo>,</mo>".join(self.term(depth - 2) for _ in range(rng.randint(1, 2)))
            return f"{name}<mo>(</mo>{inner}<mo>)</mo>"
        return f"<mrow><mo>(</mo>{self.sum(depth - 1)}<mo>)</mo></mrow>"

    def sum(self, depth: int) -> str:
        """Terms joined by operators."""
        rng = self.rng
        parts = [self.term(depth)]
        for _ in range(rng.choices([0, 1, 2], [45, 40, 15])[0]):
            parts.append(f"<mo>{rng.choice(['+', '+', '−', '−', '·', '×', '±', '∗'])}</mo>{self.term(depth)}")
        return "".join(parts)

    def matrix(self) -> str:
        """A bracketed matrix."""
        rng = self.rng
        rows, columns = rng.randint(2, 4), rng.randint(1, 4)
        cells = "".join("<mtr>" + "".join(f"<mtd>{self.atom()}</mtd>" for _ in range(columns)) + "</mtr>" for _ in range(rows))
        left, right = rng.choice(["()", "[]", "||"])
        return f"<mrow><mo>{left}</mo><mtable>{cells}</mtable><mo>{right}</mo></mrow>"

    def relation(self, depth: int) -> str:
        """Left side, sign, right side."""
        left = self.term(max(0, depth - 1))
        right = self.matrix() if self.rng.random() < 0.08 else self.sum(depth)
        return f"{left}<mo>{self.rng.choice(RELATIONS)}</mo>{right}"

    def cases(self) -> str:
        """A definition by cases."""
        rows = "".join(
            f"<mtr><mtd>{self.sum(1)}<mo>,</mo></mtd><mtd>{self.atom()}<mo>{self.rng.choice(RELATIONS[4:])}</mo>{self.atom()}</mtd></mtr>"
            for _ in range(self.rng.randint(2, 3))
        )
        return f"{self.atom()}<mo>=</mo><mrow><mo>{{</mo><mtable columnalign='left'>{rows}</mtable></mrow>"

    def display(self) -> str:
        """A displayed formula of one to four lines."""
        rng = self.rng
        chance = rng.random()
        if chance < 0.08:
            body = self.cases()
        elif chance < 0.25:
            lines = "".join(
                f"<mtr><mtd style='text-align:right'>{self.term(1)}</mtd><mtd style='text-align:left'><mo>=</mo>{self.sum(2)}</mtd></mtr>"
                for _ in range(rng.randint(2, 4))
            )
            body = f"<mtable displaystyle='true'>{lines}</mtable>"
        else:
            body = self.relation(rng.choice([1, 2, 2, 3]))
        return f"<math display='block'><mrow>{body}</mrow></math>"

    def inline(self) -> str:
        """A small formula within a line of text."""
        body = self.atom() if self.rng.random() < 0.6 else f"{self.atom()}<mo>{self.rng.choice(RELATIONS)}</mo>{self.atom()}"
        return f"<math>{body}</math>"
