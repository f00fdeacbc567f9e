"""A packed set in memory: all pages decoded into one array, with their boxes."""

import hashlib
import io
import json
import mmap
import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .pack import LABELS, MANIFEST, PAGES, PARTS


@dataclass
class Pages:
    """Pixels [P, 3, S, S] of bytes (each page in its top left corner), sizes [P, 2] (height, width), and each page's boxes and classes.

    The first `held_out` pages are not trained on.
    """

    pixels: Tensor
    sizes: np.ndarray
    boxes: list[np.ndarray]
    classes: list[np.ndarray]
    held_out: int

    def __len__(self) -> int:
        return len(self.sizes)


def load(folder: Path, classes: list[str], processes: int) -> Pages:
    """Raises ValueError where the set is damaged or of other classes. Must run before anything touches CUDA: it forks."""
    manifest = json.loads((folder / MANIFEST).read_text())
    if manifest["classes"] != classes:
        raise ValueError(f"{folder} has the classes {manifest['classes']}, the configuration {classes}")
    for name, expected in manifest["sha256"].items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
            raise ValueError(f"{folder / name} is damaged")
    labels = np.load(folder / LABELS)
    ends, sizes = labels["lengths"].astype(np.int64).cumsum(), labels["sizes"].astype(np.int64)
    starts, of_page = ends - labels["lengths"], labels["counts"].astype(np.int64).cumsum()[:-1]
    side = -(-int(sizes.max()) // 32) * 32
    data = (folder / PAGES).read_bytes()
    # Shared by the processes without /dev/shm, which may be small.
    memory = mmap.mmap(-1, len(sizes) * 3 * side * side)
    pixels = np.frombuffer(memory, np.uint8).reshape(len(sizes), 3, side, side)

    def decode(part: int) -> None:
        for i in range(part, len(sizes), processes):
            page = np.asarray(Image.open(io.BytesIO(data[starts[i] : ends[i]])).convert("RGB"))
            pixels[i, :, : page.shape[0], : page.shape[1]] = page.transpose(2, 0, 1)

    workers = [multiprocessing.get_context("fork").Process(target=decode, args=(part,)) for part in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise ValueError(f"{folder / PAGES}: a page could not be decoded")
    boxes = np.split(labels["boxes"].astype(np.float32) / PARTS, of_page)
    return Pages(torch.from_numpy(pixels), sizes, boxes, np.split(labels["classes"].astype(np.int64), of_page), manifest["held_out"])
