"""Photographs: crops of Debian's wallpapers and textures of our own, cut once and kept.

Chromium embeds a JPEG into the PDF as it is, so pages name files of a cache instead of carrying pictures themselves.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from random import Random

import cv2
import numpy as np

SOURCES = ["/usr/share/backgrounds/mate", "/usr/share/backgrounds/gnome", "/usr/share/wallpapers", "/usr/share/backgrounds"]
COUNT = 700
TEXTURES = 0.18
DULL = 14  # standard deviation of grey levels below which a crop is mere sky or shadow


def cache_folder() -> Path:
    """Where the crops are kept; PAGES_CACHE moves it."""
    return Path(os.environ.get("PAGES_CACHE", Path.home() / ".cache" / "docreader-pages")) / "photos"


def originals() -> list[Path]:
    """One file for each wallpaper: the largest where several sizes are installed; no dull gradients (tiny files)."""
    best: dict[str, Path] = {}
    for root in SOURCES:
        for path in sorted(Path(root).rglob("*")) if Path(root).is_dir() else []:
            if path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp") or path.is_symlink() or not path.is_file():
                continue
            sized = path.parent.name.startswith("images")
            key = str(path.parent.parent) + path.parent.name if sized else str(path)
            if path.stat().st_size > 60_000 and (key not in best or path.stat().st_size > best[key].stat().st_size):
                best[key] = path
    return sorted(best.values())


def texture(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Clouds of colour with some edges: no photograph, but neither text nor drawing."""
    total = np.zeros((height, width, 3), np.float32)
    for scale in (3, 7, 20, 60):
        small = rng.random((scale, scale + 1, 3), dtype=np.float32)
        total += cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC) / scale**0.5
    if rng.random() < 0.3:
        for _ in range(rng.integers(2, 14)):
            centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
            cv2.ellipse(
                total,
                centre,
                (int(rng.integers(10, width // 2)), int(rng.integers(10, height // 2))),
                float(rng.integers(0, 180)),
                0,
                360,
                [float(c) for c in rng.random(3) * 2],
                -1,
                cv2.LINE_AA,
            )
    total = cv2.normalize(total, None, 0, 255, cv2.NORM_MINMAX)
    return np.clip(total + rng.normal(0, 6, total.shape), 0, 255).astype(np.uint8)


def crop(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """A random part of a picture in a random shape, mirrored, brightened, sometimes grey."""
    height, width = image.shape[:2]
    aspect = float(np.exp(rng.uniform(-0.7, 0.8)))
    part = rng.uniform(0.25, 0.9)
    w = min(width, part * width)
    h = min(height, w / aspect)
    w = h * aspect if h * aspect <= width else w
    x, y = rng.integers(0, int(width - w) + 1), rng.integers(0, int(height - h) + 1)
    cut = image[y : y + int(h), x : x + int(w)]
    scale = 640 / max(cut.shape[:2])
    cut = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    cut = np.clip(cut.astype(np.float32) * rng.uniform(0.75, 1.3) + rng.uniform(-20, 25), 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        cut = cv2.cvtColor(cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cut


def fill_cache() -> Path:
    """Cuts the crops unless they are there. Always the same ones: they are not drawn from a run's seed."""
    folder = cache_folder()
    if (folder / "done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    sources = originals()
    photographs = int(COUNT * (1 - TEXTURES)) if sources else 0
    index = 0
    for number, path in enumerate(sources):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        share = (number + 1) * photographs // len(sources)
        while index < share:
            cut = crop(rng, image) if image is not None else texture(rng, 640, 480)
            if cut.std() < DULL:
                cut = texture(rng, 640, 480)
            cv2.imwrite(str(folder / f"{index:04}.jpg"), cut, [cv2.IMWRITE_JPEG_QUALITY, 82])
            index += 1
    for index in range(photographs, COUNT):
        cv2.imwrite(str(folder / f"{index:04}.jpg"), crop(rng, texture(rng, 720, 720)), [cv2.IMWRITE_JPEG_QUALITY, 80])
    (folder / "done").touch()
    return folder


@functools.cache
def files() -> tuple[str, ...]:
    """The crops as file URLs, in a fixed order."""
    return tuple(path.as_uri() for path in sorted(fill_cache().glob("*.jpg")))


def photo(rng: Random, width: float, height: float) -> str:
    """An <img> of the given size in pixels."""
    return f"<img src='{rng.choice(files())}' style='width:{width:.0f}px;height:{height:.0f}px;object-fit:cover'>"
