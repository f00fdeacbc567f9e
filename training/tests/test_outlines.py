"""Headings out of a PDF's outline."""

from pathlib import Path

import numpy as np
import pypdfium2

from judge import outlines

PDF = Path(__file__).parent.parent.parent / "tests/fixtures/bytefield.pdf"


def test_headings_are_where_their_ink_is():
    with pypdfium2.PdfDocument(PDF) as pdf:
        found = outlines.headings(pdf)
        # 51 entries; 22 are single letters of the index, which stand in too many places.
        assert len(found) == 29
        assert [(h.words, h.page) for h in found[:3]] == [("1 Introduction", 0), ("2 Usage", 1), ("2.1 A first example", 1)]
        for heading in found:
            ink = pdf[heading.page].render(scale=1, grayscale=True).to_numpy().squeeze() < 128
            x0, y0, x1, y1 = (round(v) for v in heading.box)
            columns = np.flatnonzero(ink[y0:y1, x0 - 10 : x1 + 10].any(0))
            assert abs(columns[0] - 10) <= 2 and abs(columns[-1] + 1 - (x1 - x0 + 10)) <= 2, heading


def test_a_number_before_the_words_belongs_to_the_heading():
    def line(words: str, x: float) -> list[outlines.Letter]:
        return [outlines.Letter(c, [x + 6 * i, 100, x + 6 * i + 5, 110]) for i, c in enumerate(words) if c != " "]

    letters = line("elsewhere", 300) + line("2.1", 50) + line("results", 80)
    assert outlines._place("Results", letters, 95) == [50, 100, 121, 110]
    assert outlines._place("Results", letters, 500) is None
    assert outlines._place("Absent", letters, None) is None
