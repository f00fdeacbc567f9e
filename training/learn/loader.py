"""Batches of pages, made by background processes in an order that can be taken up again.

The main process decides what comes next (page, size, dice), so it knows the position, and finds new shards at each epoch's beginning;
the workers only read, augment and resize.
"""

import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from detectron import image as images
from detectron.fpn import SIZE_DIVISIBILITY

from . import augment, shards


@dataclass
class Batch:
    """Bytes [N, 3, H, W], the images' own (height, width), their boxes [G, 4] and classes [G]; `position` is (epoch, next batch)."""

    pixels: Tensor
    sizes: list[tuple[int, int]]
    boxes: list[Tensor]
    classes: list[Tensor]
    position: tuple[int, int]


@dataclass
class Job:
    """What a worker is asked for."""

    pages: list[shards.Page]
    min_size: int
    seed: int
    position: tuple[int, int]


class Order:
    """An endless sequence of jobs: each epoch all pages once, shuffled, and a batch's pages all upright or all wide.

    `progress` says how much of the training is over (0 to 1): the sizes of pages may depend on it.
    """

    def __init__(self, folders: list[str], cfg, seed: int, position: tuple[int, int] = (0, 0), progress: Callable[[], float] = lambda: 1.0):
        self.folders, self.cfg, self.seed, self.position, self.progress = folders, cfg, seed, position, progress

    def __iter__(self) -> Iterator[Job]:
        epoch, start = self.position
        while True:
            for number, (group, seed) in list(enumerate(self._epoch(epoch), start=1))[start:]:
                yield Job(group, random.Random(f"{seed} size").choice(self._sizes()), seed, (epoch, number))
            epoch, start = epoch + 1, 0

    def _sizes(self) -> list[int]:
        """The shorter sides of pages at this point: those of the first stage that is not over yet, at last MIN_SIZE_TRAIN."""
        progress = self.progress()
        return next((sizes for end, sizes in self.cfg.TRAIN.STAGES if progress < end), self.cfg.INPUT.MIN_SIZE_TRAIN)

    def _epoch(self, epoch: int) -> list[tuple[list[shards.Page], int]]:
        """The pages of each batch of an epoch, and the batch's seed."""
        pages = shards.scan(self.folders, self.cfg.TRAIN.CLASSES)
        size = self.cfg.SOLVER.IMS_PER_BATCH
        if len(pages) < size:
            raise SystemExit(f"{len(pages)} pages in {', '.join(self.folders)}, but a batch has {size}")
        dice = random.Random(f"{self.seed} {epoch}")
        dice.shuffle(pages)
        groups = []
        for is_wide in (False, True):
            alike = [page for page in pages if (page.width > page.height) == is_wide]
            groups += [alike[i : i + size] for i in range(0, len(alike) - size + 1, size)]
        dice.shuffle(groups)
        return [(group, dice.getrandbits(32)) for group in groups]


class Maker(Dataset):
    """Turns jobs into batches. `DataLoader` hands it the jobs as if they were indices."""

    def __init__(self, cfg):
        self.cfg = cfg

    def __getitem__(self, job: Job) -> Batch:
        dice = random.Random(job.seed)
        parts = [self._page(page, job.min_size, dice) for page in job.pages]
        height, width = (max(pixels.shape[axis] for pixels, _, _ in parts) for axis in (1, 2))
        height, width = (-(-side // SIZE_DIVISIBILITY) * SIZE_DIVISIBILITY for side in (height, width))
        batch = torch.zeros(len(parts), 3, height, width, dtype=torch.uint8)
        for into, (pixels, _, _) in zip(batch, parts):
            into[:, : pixels.shape[1], : pixels.shape[2]] = pixels
        sizes = [tuple(pixels.shape[1:]) for pixels, _, _ in parts]
        return Batch(batch, sizes, [p[1] for p in parts], [p[2] for p in parts], job.position)

    def _page(self, page: shards.Page, min_size: int, dice: random.Random) -> tuple[Tensor, Tensor, Tensor]:
        cfg = self.cfg.TRAIN
        image, boxes, classes = images.rgb(Image.open(page.path)), page.boxes, page.classes
        if dice.random() < cfg.ZOOM_PROB:
            image, boxes, classes = augment.zoom(image, boxes, classes, cfg.ZOOM_MIN, dice)
        if dice.random() < cfg.FLIP_PROB:
            image, boxes = augment.flip(image, boxes)
        resized = images.resize(image, min_size, self.cfg.INPUT.MAX_SIZE_TRAIN)
        boxes = boxes * np.array([resized.width / image.width, resized.height / image.height] * 2, dtype=np.float32)
        keep = ((boxes[:, 2:] - boxes[:, :2]) >= augment.LEAST_SIDE).all(axis=1)
        if dice.random() < cfg.PHOTOMETRIC_PROB:
            resized = augment.photometric(resized, cfg.INVERT_PROB, dice)
        pixels = images.to_tensor(resized, self.cfg.INPUT.FORMAT)
        return pixels, torch.from_numpy(boxes[keep]), torch.from_numpy(classes[keep])


def load(order: Order, workers: int) -> Iterator[Batch]:
    """Batches in the order's order, made by `workers` processes, a few ahead."""
    prefetch = 4 if workers else None
    loader = DataLoader(
        Maker(order.cfg), sampler=order, batch_size=None, num_workers=workers, prefetch_factor=prefetch, worker_init_fn=_init_worker
    )
    return iter(loader)


def _init_worker(_: int) -> None:
    # A signal often reaches the whole group: the main process needs its batch to finish a step, writes its checkpoint, and then
    # tells the workers to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
