"""Makes shards: documents -> Chromium -> PDF -> pixels -> scan -> files."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pypdfium2 as pdfium
from playwright.sync_api import Error
from pypdfium2 import PdfiumError
from tqdm import tqdm

from . import latex, photos, tagged
from .chromium import Chromium
from .coco import Shard, box_of
from .layouts import LATEX, document, draw_kind
from .scan import scan
from .sheet import Sheet

SHARD = 250
SCANNED = 0.4


def render_pages(pdf: bytes, sheets: list[Sheet], rng: Random) -> Iterator[tuple[np.ndarray, float]]:
    """RGB images of the pages, longer side 900 to 1200 pixels, mostly 1056, and the factor from CSS pixels to image pixels."""
    with pdfium.PdfDocument(pdf) as opened:
        if len(opened) != len(sheets):  # pages and labels could not be told to belong together: better none
            return
        for page, sheet in zip(opened, sheets, strict=True):
            longer = 1056 if rng.random() < 0.4 else rng.randint(900, 1200)
            factor = longer / max(sheet.width, sheet.height)
            bitmap = page.render(scale=factor * 96 / 72, rev_byteorder=True, prefer_bgrx=True)
            yield np.ascontiguousarray(bitmap.to_numpy()[:, :, :3]), factor


def save(image: np.ndarray, file: Path, quality: int) -> None:
    """Writes RGB as JPEG."""
    cv2.imwrite(str(file), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])


def set_document(browser: Chromium, rng: Random, kind: str) -> tuple[str, bytes, list[Sheet]]:
    """A document's language, its PDF and the labels of its sheets."""
    if kind == LATEX:
        return latex.render(rng)
    style, html = document(rng, kind)
    return style.lang, *browser.render(html)


def make_document(browser: Chromium, rng: Random, folder: Path, shard: Shard, most: int, kind: str | None = None) -> int:
    """One document's pages into `folder`; returns how many (at most `most`)."""
    kind = kind or draw_kind(rng)
    lang, pdf, sheets = set_document(browser, rng, kind)
    return add_pages(pdf, sheets, rng, folder, shard, most, kind=kind, language=lang)


def add_pages(pdf: bytes, sheets: list[Sheet], rng: Random, folder: Path, shard: Shard, most: int, **facts: object) -> int:
    """The sheets that have boxes, some of them as a scanner sees them; returns how many (at most `most`)."""
    done = 0
    for (image, factor), sheet in zip(render_pages(pdf, sheets, rng), sheets, strict=False):
        if done == most:
            break
        if all(name == "header_footer" for name, _ in sheet.boxes):  # all that was to stand here did not fit
            continue
        pixels = np.random.default_rng(rng.getrandbits(64))
        matrix, scanned = np.eye(3), rng.random() < SCANNED
        if scanned:
            image, matrix = scan(pixels, image)
        height, width = image.shape[:2]
        total = matrix @ np.diag([factor, factor, 1])
        boxes = [(name, box) for name, parts in sheet.boxes if (box := box_of(parts, total, width, height))]
        file = f"images/{len(shard.images):05}.jpg"
        save(image, folder / file, int(pixels.integers(30, 91)) if scanned else 93)
        shard.add(file, width, height, boxes, scanned=scanned, **facts)
        done += 1
    return done


def make_shard(job: tuple[Path, int, int, int, str | None]) -> int:
    """Makes one shard (folder, its number, pages, seed, kind); returns its pages. A finished one is left alone."""
    folder, number, pages, seed, kind = job
    if (folder / "annotations.json").exists():
        return pages
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    shard = Shard()
    with Chromium() as browser:
        index = 0
        while len(shard.images) < pages:
            name = f"{seed}/{number}/{index}"
            try:
                make_document(browser, Random(name), folder, shard, pages - len(shard.images), kind)
            except (RuntimeError, Error) as error:  # one that cannot be made must not end a run of hours
                tqdm.write(f"document {name} is left out: {error}")
            index += 1
    shard.write(folder / "annotations.json")
    return pages


def make(out: Path, count: int, seed: int, processes: int, kind: str | None = None) -> None:
    """Makes `count` pages in shards below `out`, of all kinds or of one; what depends on a seed never depends on `processes`."""
    photos.fill_cache()
    if not shutil.which("xelatex"):
        raise SystemExit("xelatex is not installed; run sh pages/setup.sh as root")
    jobs = [(out / f"shard-{i:05}", i, min(SHARD, count - i * SHARD), seed, kind) for i in range((count + SHARD - 1) // SHARD)]
    with tqdm(total=count, unit="page", smoothing=0.1) as bar:
        if processes == 1:
            for job in jobs:
                bar.update(make_shard(job))
            return
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            for pages in pool.imap_unordered(make_shard, jobs):
                bar.update(pages)


def make_tagged(out: Path, files: list[Path], seed: int) -> None:
    """A shard of each tagged PDF's pages below `out`; says which files gave none."""
    for number, file in enumerate(tqdm(files, unit="file")):
        folder = out / f"shard-{number:05}"
        if (folder / "annotations.json").exists():
            continue
        try:
            pdf = file.read_bytes()
            sheets = tagged.sheets(pdf)
        except (OSError, PdfiumError) as error:
            tqdm.write(f"{file}: {error}")
            continue
        usable = sum(bool(sheet.boxes) for sheet in sheets)
        tqdm.write(f"{file}: {usable} of {len(sheets)} pages")
        if usable:
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "images").mkdir(parents=True)
            shard = Shard()
            add_pages(pdf, sheets, Random(f"{seed}/{number}"), folder, shard, len(sheets), kind="tagged", source=file.name)
            shard.write(folder / "annotations.json")
