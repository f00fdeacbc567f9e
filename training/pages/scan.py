"""What paper, printers, copiers, scanners and JPEG do to a page. Geometry comes back as a matrix, so labels follow exactly."""

from __future__ import annotations

import cv2
import numpy as np

Array = np.ndarray


def turn(rng: np.random.Generator, image: Array, paper: tuple[int, int, int]) -> tuple[Array, Array]:
    """A small rotation, shift and keystone; returns the image and the 3x3 matrix from old to new pixels."""
    h, w = image.shape[:2]
    angle = np.clip(rng.normal(0, 0.7), -2, 2)
    matrix = np.vstack([cv2.getRotationMatrix2D((w / 2, h / 2), angle, rng.uniform(0.965, 1.0)), [0, 0, 1]])
    matrix = np.array([[1, 0, rng.normal(0, w * 0.004)], [0, 1, rng.normal(0, h * 0.004)], [0, 0, 1]]) @ matrix
    if rng.random() < 0.2:  # photographed rather than scanned
        corners = np.float32([[0, 0], [w, 0], [w, h], [0, h]])
        moved = corners + rng.normal(0, 0.006, (4, 2)).astype(np.float32) * [w, h]
        matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32)) @ matrix
    black = rng.random() < 0.18
    fill = (20, 20, 20) if black else paper
    return cv2.warpPerspective(image, matrix, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill), matrix


def shade(rng: np.random.Generator, image: Array) -> Array:
    """Uneven light: a slow change over the page, or a dark gutter on one side."""
    h, w = image.shape[:2]
    small = rng.normal(1, 0.045, (3, 3)).astype(np.float32)
    light = cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.3:
        reach = w * rng.uniform(0.03, 0.12)
        edge = 1 - rng.uniform(0.1, 0.5) * np.exp(-np.arange(w, dtype=np.float32) / reach)
        light = light * (edge if rng.random() < 0.5 else edge[::-1])
    return cv2.multiply(image, cv2.merge([light] * 3), dtype=cv2.CV_8U)


def show_through(rng: np.random.Generator, image: Array) -> Array:
    """The back of the sheet, mirrored and faint: the page itself serves as its back."""
    strength = rng.uniform(0.04, 0.13)
    faint = cv2.convertScaleAbs(cv2.flip(image, 1), alpha=strength, beta=255 * (1 - strength))
    return cv2.min(image, cv2.GaussianBlur(faint, (0, 0), 1.5))


def speckle(rng: np.random.Generator, image: Array) -> Array:
    """Dust and dirt."""
    h, w = image.shape[:2]
    for _ in range(int(rng.integers(5, 160))):
        centre = (int(rng.integers(0, w)), int(rng.integers(0, h)))
        cv2.circle(image, centre, int(rng.integers(0, 3)), [int(rng.integers(0, 140))] * 3, -1)
    return image


def noise(rng: np.random.Generator, image: Array) -> Array:
    """Grain of the sensor, coarse or fine."""
    h, w = image.shape[:2]
    coarse = rng.uniform(1, 2)
    grain = rng.standard_normal((int(h / coarse), int(w / coarse)), dtype=np.float32) * rng.uniform(2, 13)
    grain = cv2.resize(grain, (w, h), interpolation=cv2.INTER_LINEAR)
    return cv2.add(image, cv2.merge([grain] * 3), dtype=cv2.CV_8U)


def bilevel(rng: np.random.Generator, image: Array) -> Array:
    """A fax or a copier: black and white only."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if rng.random() < 0.5:
        out = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 31, int(rng.integers(8, 22)))
    else:
        out = cv2.threshold(grey, float(rng.integers(150, 215)), 255, cv2.THRESH_BINARY)[1]
    return cv2.merge([out] * 3)


def scan(rng: np.random.Generator, image: Array) -> tuple[Array, Array]:
    """A scanned look of an RGB page: each effect with its own chance. Returns the image and the matrix old -> new pixels."""
    matrix = np.eye(3)
    warm = rng.uniform(0, 1) ** 2
    paper = (int(255 - 14 * warm), int(255 - 24 * warm), int(255 - 58 * warm)) if rng.random() < 0.35 else (255, 255, 255)
    if paper != (255, 255, 255):
        image = cv2.multiply(image, tuple(c / 255 for c in paper) + (0,), dtype=cv2.CV_8U)
    if rng.random() < 0.2:
        image = show_through(rng, image)
    if rng.random() < 0.7:
        image, matrix = turn(rng, image, paper)
    if rng.random() < 0.35:
        image = shade(rng, image)
    if rng.random() < 0.25:
        image = speckle(rng, image.copy())
    if rng.random() < 0.35:
        h, w = image.shape[:2]
        factor = rng.uniform(0.5, 0.9)
        image = cv2.resize(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), (w, h), interpolation=cv2.INTER_LINEAR)
    elif rng.random() < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.1))
    if rng.random() < 0.45:
        image = noise(rng, image)
    if rng.random() < 0.4:
        image = cv2.convertScaleAbs(image, alpha=rng.uniform(0.75, 1.08), beta=rng.uniform(-15, 20))
    if rng.random() < 0.4:
        image = cv2.merge([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)] * 3)
    if rng.random() < 0.1 and np.median(image[::8, ::8]) > 190:  # light pages only: on dark ones nothing would be left
        image = bilevel(rng, image)
    return image, matrix
