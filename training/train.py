"""Trains docreader's layout detector.

    python train.py --data pages --out run --hours 1.5      # and the same command again to go on after a stop
    python train.py --data mine --out mine-run --hours 0.5 --weights ../models/default/model.safetensors --config mine.yaml     # fine-tuning
    python train.py --plot run                              # run/curve.png
"""

import argparse
import signal
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from detectron import config
from detectron.rcnn import GeneralizedRCNN
from learn import checkpoint, journal, loader, schedule

# So many steps in a row may come out infinite before a run is given up.
PATIENCE = 20
SEED = 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Trains Faster R-CNN from scratch on folders of shards. A run that was stopped goes on when its command is given again.",
        epilog="Then: app detect paper.pdf --model RUN --out out",
    )
    parser.add_argument("--data", action="append", default=[], help="folder of shards, as pages/ makes them; may be given again. "
                        "Shards that appear meanwhile join at the next epoch")
    parser.add_argument("--out", type=Path, metavar="RUN", help="folder for checkpoint, log, and the model for docreader")
    parser.add_argument("--config", default=Path(__file__).parent / "configs/narrow.yaml", help="default configs/narrow.yaml")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--hours", type=float, help="train so long, over all restarts; the learning rate reaches 0 at the end")
    length.add_argument("--iterations", type=int, help="train so many steps")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="begin with the weights of this model_final.pth or model.safetensors; layers of another shape "
                        "there, as those of other classes, begin anew")
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare pages (default 1)")
    parser.add_argument("--threads", type=int, help="CPU cores for the network (default all)")
    parser.add_argument("--checkpoint-minutes", type=float, default=5, help="default 5")
    parser.add_argument("--export", action="store_true", help="write the model for docreader at each checkpoint, not only at the end")
    parser.add_argument("--plot", type=Path, metavar="RUN", help="draw RUN/curve.png from RUN's log and exit")
    args = parser.parse_args()
    if not args.plot and not (args.data and args.out and (args.hours or args.iterations)):
        parser.error("say --data, --out, and --hours or --iterations (or --plot RUN)")
    return args


class Run:
    """A training that can stop after any step and go on from its folder."""

    def __init__(self, args: argparse.Namespace):
        self.args, self.folder = args, args.out
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = self.folder / checkpoint.CONFIG
        state = checkpoint.load(self.folder)
        # A run goes on with the configuration that it began with.
        self.cfg = config.read(kept if state else args.config)
        kept.write_text(config.dump(self.cfg))
        torch.manual_seed(SEED)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = GeneralizedRCNN(self.cfg).to(self.device, memory_format=torch.channels_last).train()
        if args.weights and not state:
            anew = checkpoint.begin_with(self.model, args.weights)
            print(f"beginning with {args.weights}" + (f"; anew: {', '.join(anew)}" if anew else ""))
        self.average = schedule.Average(self.model, self.cfg.TRAIN.EMA_DECAY)
        self.optimizer = schedule.optimizer(self.model, self.cfg)
        self.iteration, self.seconds, self.position = 0, 0.0, (0, 0)
        if state:
            self._restore(state)

    def _restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        self.iteration, self.seconds, self.position = state["iteration"], state["seconds"], tuple(state["position"])
        print(f"going on at iteration {self.iteration}, after {self.seconds / 60:.1f} minutes")

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "iteration": self.iteration,
            "seconds": self.seconds,
            "position": list(self.position),
        }
        checkpoint.save(self.folder / checkpoint.CHECKPOINT, state)

    def export(self) -> None:
        checkpoint.export(self.folder, self.average.model, self.cfg)

    def progress(self) -> float:
        """0 at the beginning, 1 when the training is over."""
        return self.seconds / (self.args.hours * 3600) if self.args.hours else self.iteration / self.args.iterations

    def step(self, batch: loader.Batch) -> dict[str, float]:
        """One step; returns the losses, and leaves the weights alone where they are not finite."""
        rate = schedule.learning_rate(self.cfg, self.iteration, self.progress())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        truth, classes = ([t.to(self.device) for t in part] for part in (batch.boxes, batch.classes))
        with torch.autocast(self.device.type, torch.bfloat16):
            figures = self.model(batch.pixels.to(self.device), batch.sizes, truth, classes)
        loss = sum(figures[name] for name in journal.LOSSES)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE)
        if norm.isfinite():
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.iteration += 1
        self.average.update(self.model, self.iteration)
        self.position = batch.position
        return {name: value.item() for name, value in figures.items()} | {"gradient": norm.item(), "lr": rate}

    def go(self) -> None:
        stop = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: stop.append(number))
        batches = loader.load(loader.Order(self.args.data, self.cfg, SEED, self.position, self.progress), self.args.workers)
        log = journal.Journal(self.folder, every=20)
        bar = tqdm(total=100, initial=round(100 * self.progress(), 2), bar_format="{percentage:5.1f}% |{bar:24}| {elapsed} {postfix}")
        saved, bad, clock = time.monotonic(), 0, time.monotonic()
        while self.progress() < 1 and not stop:
            batch = next(batches)
            figures = self.step(batch)
            now = time.monotonic()
            self.seconds += now - clock
            clock = now
            bad = 0 if np.isfinite(figures["gradient"]) else bad + 1
            if bad > PATIENCE:
                raise SystemExit(f"{bad} steps in a row had infinite gradients; the last checkpoint is left as it is")
            line = log.note(self.iteration, len(batch.sizes), figures, epoch=batch.position[0], minutes=round(self.seconds / 60, 2))
            if line:
                bar.n = min(100, round(100 * self.progress(), 2))
                bar.set_postfix_str(_summary(line))
            if now - saved > self.args.checkpoint_minutes * 60:
                self.save()
                if self.args.export:
                    self.export()
                saved = clock = time.monotonic()
        bar.close()
        self.save()
        if stop:
            print(f"stopped at iteration {self.iteration}; the same command goes on from there")
        else:
            self.export()
            print(f"done; try: app detect FILE --model {self.folder}")


def _summary(line: dict) -> str:
    losses = " ".join(f"{name} {line[name]:.3f}" for name in journal.LOSSES)
    return f"it {line['iteration']} epoch {line['epoch']} | {losses} | {line['pages_per_second']:.2f} pages/s | lr {line['lr']:.2g}"


def main() -> None:
    args = arguments()
    if args.plot:
        print(journal.plot(args.plot))
        return
    if args.threads:
        torch.set_num_threads(args.threads)
    Run(args).go()


if __name__ == "__main__":
    main()
