"""What docreader finds: `app detect` on each page."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from learn.shards import Page


@dataclass
class Found:
    """A region: box (x0, y0, x1, y1) in pixels of the page."""

    label: str
    score: float
    box: list[float]


def detect(app: Path, model: Path, pages: list[Page], threshold: float) -> list[list[Found]]:
    return [_detect(app, model, page.path, threshold) for page in tqdm(pages, unit="page", leave=False)]


def _detect(app: Path, model: Path, image: Path, threshold: float) -> list[Found]:
    try:
        (page,) = run(app, model, image, threshold)
    except RuntimeError as error:
        raise SystemExit(str(error)) from None
    return [Found(d["label"], d["score"], d["box_px"]) for d in page["detections"]]


def run(app: Path, model: Path, file: Path, threshold: float) -> list[dict]:
    """The pages of `app detect --json`. Raises RuntimeError with what it says on failure."""
    command = [app, "detect", file, "--json", "--model", model, "--score-threshold", str(threshold), "--crop-min-score", "1"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"app detect {file}: {done.stderr.strip()}")
    return json.loads(done.stdout)["pages"]
