"""Labels out of a PDF's tags, against the boxes of the document that it was printed from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pages import tagged
from pages.chromium import Chromium
from pages.make import make_tagged

PROSE = "The quick brown fox jumps over the lazy dog, and the dog lets it pass without a word. " * 4
HTML = f"""<!doctype html><html lang=en><head><title>A document</title><style>
@page {{ size: 800px 1000px; margin: 0 }} body {{ margin: 0; font: 16px/1.4 'DejaVu Serif' }}
.sheet {{ box-sizing: border-box; width: 800px; height: 1000px; padding: 60px; position: relative; overflow: hidden; break-after: page }}
table {{ border-collapse: collapse; margin: 20px 0 }} td, th {{ padding: 4px 20px 4px 0; text-align: left }} p, h1, h2, figure {{ margin: 16px 0 }}
li {{ list-style: none; margin: 8px 0 }}
</style></head><body><div class=sheet>
<h1><span data-l=title>A heading of the first level</span></h1>
<p data-l=text>{PROSE}</p>
<h2><span data-l=title>And a second one</span></h2>
<ul><li data-l=list>• {PROSE}</li><li data-l=list>• {PROSE}</li></ul>
<table data-l=table><tr><th>Name</th><th>Count</th></tr><tr><td>Foxes</td><td>12</td></tr><tr><td>Dogs</td><td>7</td></tr></table>
<img data-l=figure alt="a black square" style='display:block;width:220px;height:150px' src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='220' height='150'><rect width='220' height='150' fill='black'/></svg>">
<p data-l=text>{PROSE}</p>
</div></body></html>"""


@pytest.fixture(scope="module")
def printed() -> tuple[bytes, list]:
    with Chromium() as browser:
        return browser.render(HTML)


def test_tags_give_the_boxes_of_the_page(printed: tuple[bytes, list]) -> None:
    """The same classes in the same order; boxes reach to the same ink."""
    pdf, (truth,) = printed
    (sheet,) = tagged.sheets(pdf)
    assert sorted(name for name, _ in sheet.boxes) == sorted(name for name, _ in truth.boxes)
    for name, parts in truth.boxes:
        around = np.array(parts)
        box = np.concatenate([around[:, :2].min(0), around[:, 2:].max(0)])
        # The page's boxes are of lines, which are higher than their ink.
        assert any(other == name and abs(np.array(found) - box).max() < 8 for other, (found,) in sheet.boxes), (name, box, [b for b in sheet.boxes if b[0] == name])


def test_a_file_becomes_a_shard(printed: tuple[bytes, list], tmp_path: Path) -> None:
    """A tagged PDF is a shard like any other; a file that is no PDF is named and left out."""
    (tmp_path / "page.pdf").write_bytes(printed[0])
    (tmp_path / "broken.pdf").write_bytes(b"no PDF")
    make_tagged(tmp_path / "out", [tmp_path / "broken.pdf", tmp_path / "page.pdf"], 1)
    assert [folder.name for folder in (tmp_path / "out").iterdir()] == ["shard-00001"]
    coco = json.loads((tmp_path / "out/shard-00001/annotations.json").read_text())
    assert len(coco["images"]) == 1 and len(coco["annotations"]) == 8
