"""Trains on one GPU (or, slowly, without one) for a number of seconds, all told, and leaves the model in parts.

    gpu/run --set ../.gpu/set --out "$OUT" --seconds 420
    gpu/run --smoke                                         # the same code in about two minutes of two CPU cores, with a small drawn set
"""

import os
import signal
import statistics
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import torch

from detectron.rcnn import GeneralizedRCNN
from learn import checkpoint, journal, schedule

from . import batches, pages, parts, pixels
from .batched import Batched

SEED = 1
# Seconds before the end that the last checkpoint gets, and seconds that compiling may take.
CLOSING, COMPILING = 12, 80
# Steps between two looks at the figures, which wait for the GPU.
LOOK = 20
# So many looks in a row may see figures that are not finite before the loop gives up.
PATIENCE = 5


@dataclass
class Options:
    """Where the set is and where the model goes; `begun` is `time.monotonic()` at the process's start, `compile` may be off."""

    set: Path
    out: Path
    seconds: float
    begun: float
    compile: bool = True
    weights: Path | None = None
    processes: int = 16
    checkpoint_seconds: float = 60
    # So long after its time the process ends, whatever it does.
    grace: float = 0


class Training:
    """The network, its average, its optimizer and the pages, all on the device."""

    def __init__(self, options: Options, cfg):
        self.options, self.cfg = options, cfg
        self.set = pages.load(options.set, cfg.TRAIN.CLASSES, options.processes)
        self.say(f"{len(self.set)} pages of {self.set.pixels.shape[-1]} px, {self.set.held_out} of them held out")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(SEED)
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            self.say(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
        self.store = self.set.pixels.to(self.device)
        self.model = GeneralizedRCNN(cfg).to(self.device, memory_format=torch.channels_last).train()
        if options.weights:
            anew = checkpoint.begin_with(self.model, options.weights)
            self.say(f"beginning with {options.weights}; {len(anew)} layers anew")
        self.average = schedule.Average(self.model, cfg.TRAIN.EMA_DECAY)
        self.optimizer = schedule.optimizer(self.model, cfg)
        self.batched, self.judged = Batched(self.model), Batched(self.average.model)
        self.compiled: dict[tuple[int, int], torch.nn.Module] = {}
        self.iteration, self.first, self.stopped = 0, time.monotonic(), []

    # -- time ----------------------------------------------------------------------------------------------------------

    def left(self) -> float:
        """Seconds until the last checkpoint is due."""
        return self.options.begun + self.options.seconds - CLOSING - time.monotonic()

    def progress(self) -> float:
        """0 at the first step, 1 when the time is over."""
        gone = time.monotonic() - self.first
        return min(1.0, gone / max(1e-3, gone + self.left()))

    def say(self, words: str) -> None:
        print(f"{time.monotonic() - self.options.begun:6.1f} s  {words}", flush=True)

    # -- steps ---------------------------------------------------------------------------------------------------------

    def losses(self, batch: batches.Batch, batched: Batched, dense=None) -> dict[str, torch.Tensor]:
        batch = batch.to(self.device)
        x = pixels.resample(self.store[batch.pages], batch.windows, batch.sizes, batch.shape)
        x = pixels.normalise(pixels.change(x, batch.looks), batch.sizes, self.model.pixel_mean, self.model.pixel_std)
        with torch.autocast(self.device.type, torch.bfloat16):
            return batched.losses(x, batch.sizes, batch.boxes, batch.classes, dense)

    def backward(self, batch: batches.Batch, dense=None) -> dict[str, torch.Tensor]:
        figures = self.losses(batch, self.batched, dense)
        sum(figures[name] for name in journal.LOSSES).backward()
        return figures

    def step(self, batch: batches.Batch) -> dict[str, torch.Tensor]:
        """One step, none of whose results is waited for; where a gradient is not finite the weights stay as they are."""
        # Trying out algorithms pays only for the shapes that most batches have.
        torch.backends.cudnn.benchmark = batch.shape[0] > batch.shape[1]
        rate = schedule.learning_rate(self.cfg, self.iteration, self.progress())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        figures = self.backward(batch, self.compiled.get(batch.shape))
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE)
        self.optimizer.found_inf = (~norm.isfinite()).float()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.iteration += 1
        self.average.update(self.model, self.iteration)
        return {name: value.detach() for name, value in figures.items()} | {"gradient": norm}

    def prepare(self, order: batches.Order) -> None:
        """Compiles the dense part for the upright bucket of the last stage, and keeps it if it is faster."""
        shape = batches.bucket(self.cfg.INPUT.MIN_SIZE_TRAIN[-1], False)
        chosen = torch.arange(self.set.held_out, self.set.held_out + self.cfg.SOLVER.IMS_PER_BATCH) % len(self.set)
        batch = order.batch(chosen.numpy(), shape)
        state = {name: value.clone() for name, value in self.model.state_dict().items()}
        try:
            torch.backends.cudnn.benchmark = True
            plain = self._seconds(batch, None)
            self.say(f"a step of {shape}: {plain:.3f} s")
            with _alarm(COMPILING):
                dense = torch.compile(self.batched.dense, dynamic=False)
                fast = self._seconds(batch, dense)
            self.say(f"compiled: {fast:.3f} s")
            if fast < plain:
                self.compiled[shape] = dense
        except Exception as error:  # a compiler's failure must not cost the training
            self.say(f"not compiled: {type(error).__name__}: {str(error)[:400]}")
        self.optimizer.zero_grad()
        self.model.load_state_dict(state)

    def _seconds(self, batch: batches.Batch, dense) -> float:
        """How long losses and gradients of a batch take, once all is warm."""
        times = []
        for _ in range(6):
            begun = time.monotonic()
            self.backward(batch, dense)
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.monotonic() - begun)
        return statistics.median(times[-3:])

    @torch.no_grad()
    def held_out(self, order: batches.Order) -> dict[str, float]:
        """The average's losses on the held-out pages, as wholes; {} where there are none."""
        sums: dict[str, list] = {}
        size, shape = self.cfg.SOLVER.IMS_PER_BATCH, batches.bucket(self.cfg.INPUT.MIN_SIZE_TRAIN[-1], False)
        for start in range(0, self.set.held_out - size + 1, size):
            batch = order.batch(torch.arange(start, start + size).numpy(), shape)
            for name, value in self.losses(batch, self.judged).items():
                sums.setdefault(name, []).append(value.item())
        return {f"held_out_{name}": round(statistics.mean(values), 4) for name, values in sums.items()}

    # -- the run -------------------------------------------------------------------------------------------------------

    def keep(self, log: journal.Journal) -> None:
        """Writes the average, unless something in it is not finite."""
        if all(value.isfinite().all() for value in self.average.model.state_dict().values()):
            count = parts.write(self.options.out, self.average.model, self.cfg, iteration=self.iteration, seconds=round(time.monotonic() - self.options.begun))
            self.say(f"iteration {self.iteration}: model in {count} parts")
        else:
            self.say(f"iteration {self.iteration}: the average is not finite; the last parts stay")

    def go(self) -> None:
        signal.signal(signal.SIGTERM, lambda number, _: self.stopped.append(number))
        order = batches.Order(self.set, self.cfg, SEED, self.progress)
        judge = batches.Order(self.set, _plain(self.cfg), SEED, self.progress)
        if self.options.compile:
            self.prepare(order)
        log = journal.Journal(self.options.out, every=LOOK)
        self.first = saved = time.monotonic()
        good, bad, waiting = self._snapshot(), 0, []
        for batch in batches.ahead(order):
            if self.left() <= 0 or self.stopped:
                break
            try:
                waiting.append((self.step(batch), len(batch.pages)))
            except RuntimeError as error:  # out of memory at an odd shape, say: the next batch has another
                bad += 1
                self.say(f"step left out: {traceback.format_exc(limit=-3) if bad == 1 else str(error)[:200]}")
                self.optimizer.zero_grad()
                if bad > PATIENCE * LOOK:
                    break
                continue
            if len(waiting) < LOOK:
                continue
            if self._note(log, waiting):
                good, bad = self._snapshot(), 0
            else:
                bad += 1
                self.say("figures are not finite: back to the last good weights")
                self.model.load_state_dict(good[0])
                self.average.model.load_state_dict(good[1])
                self.optimizer = schedule.optimizer(self.model, self.cfg)
                if bad > PATIENCE:
                    break
            waiting = []
            if time.monotonic() - saved > self.options.checkpoint_seconds and self.left() > CLOSING:
                self.say(str(self.held_out(judge)))
                self.keep(log)
                saved = time.monotonic()
        self.keep(log)
        self.say(str(self.held_out(judge)))

    def _snapshot(self) -> tuple[dict, dict]:
        return tuple({name: value.clone() for name, value in model.state_dict().items()} for model in (self.model, self.average.model))

    def _note(self, log: journal.Journal, waiting: list) -> bool:
        """Logs the waiting steps' figures; False where one is not finite."""
        names = list(waiting[0][0])
        values = torch.stack([torch.stack([figures[name].float() for name in names]) for figures, _ in waiting]).cpu()
        before = self.iteration - len(waiting)
        facts = {"minutes": round((time.monotonic() - self.first) / 60, 3), "lr": self.optimizer.param_groups[0]["lr"]}
        for number, (row, (_, count)) in enumerate(zip(values.tolist(), waiting), start=1):
            line = log.note(before + number, count, dict(zip(names, row)), **facts)
            if line:
                losses = " ".join(f"{name} {line[name]:.3f}" for name in journal.LOSSES)
                self.say(f"it {line['iteration']} {losses} right {line['fg_accuracy']:.3f} | {line['pages_per_second']:.0f} pages/s lr {facts['lr']:.2g}")
        # A gradient alone may be infinite: that step was left out.
        return bool(values[:, : len(names) - 1].isfinite().all())


def _plain(cfg):
    """Pages as they are: neither cut nor changed."""
    plain = type(cfg)(cfg)
    plain.TRAIN = type(cfg)(cfg.TRAIN) | {"ZOOM_PROB": 0.0, "PHOTOMETRIC_PROB": 0.0, "INVERT_PROB": 0.0}
    plain.TRAIN = type(cfg)(plain.TRAIN)
    return plain


class _alarm:
    """Raises TimeoutError in the block after some seconds; for the main thread."""

    def __init__(self, seconds: int):
        self.seconds = seconds

    def __enter__(self) -> None:
        def ring(*_) -> None:
            raise TimeoutError(f"after {self.seconds} s")

        self.before = signal.signal(signal.SIGALRM, ring)
        signal.alarm(self.seconds)

    def __exit__(self, *_) -> None:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, self.before)


def run(options: Options, cfg) -> None:
    """Trains; however it ends, the process is over at its time, and the last parts that were written are whole."""
    options.out.mkdir(parents=True, exist_ok=True)
    # Nothing may outlast the caller's limit, not even a driver that hangs.
    watch = threading.Timer(options.begun + options.seconds + options.grace - time.monotonic(), lambda: os._exit(3))
    watch.daemon = True
    watch.start()
    Training(options, cfg).go()
    watch.cancel()
