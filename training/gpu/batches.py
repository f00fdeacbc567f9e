"""What comes next: pages, their windows and sizes, their boxes there, and how they look. Drawn on the host, a few batches ahead."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detectron.fpn import SIZE_DIVISIBILITY
from learn.augment import LEAST_SIDE, LEAST_VISIBLE

from .pages import Pages

# A bucket is as much higher than wide as A4, or the other way round.
A4 = 2**0.5
# How much of a bucket a page takes up, of its sides.
FILL = (0.78, 1.0)
# Letters of the store are not made larger than this.
LARGEST_SCALE = 1.5
SQUEEZE = (0.94, 1.06)


@dataclass
class Batch:
    """Indices of pages [N], windows in the store (x, y, width, height) [N, 4], sizes there (height, width) [N, 2] within `shape`, boxes
    [N, G, 4] and classes [N, G], -1 where there is no box; `looks` is for `pixels.change`."""

    shape: tuple[int, int]
    pages: Tensor
    windows: Tensor
    sizes: Tensor
    boxes: Tensor
    classes: Tensor
    looks: dict[str, Tensor]

    def to(self, device: torch.device) -> "Batch":
        def move(value: Tensor) -> Tensor:
            return value.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else value

        tensors = (move(value) for value in (self.pages, self.windows, self.sizes, self.boxes, self.classes))
        return Batch(self.shape, *tensors, {name: move(value) for name, value in self.looks.items()})


def bucket(side: int, is_wide: bool) -> tuple[int, int]:
    """Height and width of the network's input for pages whose shorter side is about `side` pixels."""
    short, long = (round(value / SIZE_DIVISIBILITY) * SIZE_DIVISIBILITY for value in (side, side * A4))
    return (short, long) if is_wide else (long, short)


class Order:
    """An endless sequence of batches: each epoch all pages once, a batch's pages all upright or all wide."""

    def __init__(self, pages: Pages, cfg, seed: int, progress: Callable[[], float]):
        self.pages, self.cfg, self.progress = pages, cfg, progress
        self.dice = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[Batch]:
        trained = np.arange(self.pages.held_out, len(self.pages))
        is_wide = self.pages.sizes[trained, 1] > self.pages.sizes[trained, 0]
        size = self.cfg.SOLVER.IMS_PER_BATCH
        while True:
            groups = []
            for wide in (False, True):
                alike = self.dice.permutation(trained[is_wide == wide])
                # What is left over at an epoch's end waits for another epoch, unless there are too few of its kind for one batch.
                count = max(len(alike) // size, int(len(alike) > size // 4 or len(trained) < size and len(alike) > 0))
                groups += [(np.resize(alike, count * size)[i * size : (i + 1) * size], wide) for i in range(count)]
            self.dice.shuffle(groups)
            for chosen, wide in groups:
                yield self.batch(chosen, bucket(self.dice.choice(self._sides()), wide))

    def _sides(self) -> list[int]:
        progress = self.progress()
        return next((sides for end, sides in self.cfg.TRAIN.STAGES if progress < end), self.cfg.INPUT.MIN_SIZE_TRAIN)

    def batch(self, chosen: np.ndarray, shape: tuple[int, int]) -> Batch:
        windows, sizes, kept = zip(*(self._place(page, shape) for page in chosen))
        looks = [self._look() for _ in chosen]
        return Batch(
            shape,
            torch.from_numpy(np.ascontiguousarray(chosen)),
            torch.tensor(windows, dtype=torch.float32),
            torch.tensor(sizes),
            *padded(kept),
            {name: torch.tensor([look[name] for look in looks], dtype=torch.float32) for name in looks[0]},
        )

    def _place(self, page: int, shape: tuple[int, int]):
        """A page's window, its size in the network's input, and the boxes and classes that are left there."""
        dice, cfg = self.dice, self.cfg.TRAIN
        height, width = self.pages.sizes[page]
        x, y = 0, 0
        if dice.random() < cfg.ZOOM_PROB:
            part = dice.uniform(cfg.ZOOM_MIN, 1)
            whole, (width, height) = (width, height), (max(32, round(side * min(1, part * dice.uniform(0.9, 1.1)))) for side in (width, height))
            width, height = min(width, whole[0]), min(height, whole[1])
            x, y = dice.integers(whole[0] - width + 1), dice.integers(whole[1] - height + 1)
        squeeze = dice.uniform(*SQUEEZE)
        scale = min(LARGEST_SCALE, dice.uniform(*FILL) * min(shape[0] / height, shape[1] / (width * squeeze)))
        size = (max(1, round(height * scale)), max(1, round(width * squeeze * scale)))
        size = (min(size[0], shape[0]), min(size[1], shape[1]))
        boxes, classes = moved(self.pages.boxes[page], self.pages.classes[page], (x, y, width, height), size)
        return (x, y, width, height), size, (boxes, classes)

    def _look(self) -> dict[str, float | list[float]]:
        dice, cfg = self.dice, self.cfg.TRAIN
        look = {"tint": [1.0] * 3, "contrast": 1.0, "blur": 0.0, "noise": 0.0, "grey": 0.0, "invert": 0.0}
        if dice.random() < cfg.PHOTOMETRIC_PROB:
            brightness = dice.uniform(0.75, 1.12)
            colour = dice.uniform(0.9, 1.05, 3) if dice.random() < 0.4 else np.ones(3)
            look["tint"], look["contrast"] = (brightness * colour).tolist(), dice.uniform(0.6, 1.3)
            look["grey"] = float(dice.random() < 0.4)
            look["noise"] = dice.uniform(0, 14) if dice.random() < 0.3 else 0.0
        if dice.random() < cfg.PHOTOMETRIC_PROB:
            look["blur"] = dice.uniform(-0.9, 1.0)
        look["invert"] = float(dice.random() < cfg.INVERT_PROB)
        return look


def moved(boxes: np.ndarray, classes: np.ndarray, window, size) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of a page as they are in a window of it that was resized to `size` (height, width); those that are mostly gone are left out."""
    x, y, width, height = window
    scale = np.array([size[1] / width, size[0] / height] * 2, dtype=np.float32)
    boxes = (boxes - np.array([x, y, x, y], dtype=np.float32)) * scale
    inside = boxes.clip(0, np.array([size[1], size[0]] * 2, dtype=np.float32))
    area, left = ((part[:, 2:] - part[:, :2]).prod(1) for part in (boxes, inside))
    keep = (left > LEAST_VISIBLE * area) & ((inside[:, 2:] - inside[:, :2]) >= LEAST_SIDE).all(1)
    return inside[keep], classes[keep]


def padded(kept: list[tuple[np.ndarray, np.ndarray]]) -> tuple[Tensor, Tensor]:
    """Boxes [N, G, 4] and classes [N, G] of lists of both; G is a multiple of 16, so that few shapes occur."""
    most = -(-max(1, *(len(boxes) for boxes, _ in kept)) // 16) * 16
    boxes, classes = np.zeros((len(kept), most, 4), np.float32), np.full((len(kept), most), -1, np.int64)
    for i, (box, name) in enumerate(kept):
        boxes[i, : len(box)], classes[i, : len(name)] = box, name
    return torch.from_numpy(boxes), torch.from_numpy(classes)


def ahead(order: Order, depth: int = 4) -> Iterator[Batch]:
    """The order's batches, made by a thread; an error there is raised here."""
    ready: queue.Queue = queue.Queue(depth)

    def work() -> None:
        try:
            for batch in order:
                ready.put(batch)
        except BaseException as error:  # the loop must hear of it, or it would wait for ever
            ready.put(error)

    threading.Thread(target=work, daemon=True).start()
    while True:
        batch = ready.get()
        if isinstance(batch, BaseException):
            raise batch
        yield batch
