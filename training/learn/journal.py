"""The record of a run, one JSON object a line in `log.jsonl`, and its picture."""

import json
import time
from pathlib import Path

LOSSES = ("rpn_cls", "rpn_loc", "box_cls", "box_reg")


class Journal:
    """Averages figures over some iterations, then writes and shows them."""

    def __init__(self, folder: Path, every: int):
        self.path, self.every = folder / "log.jsonl", every
        self._reset()

    def _reset(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.pages, self.since = 0, time.monotonic()

    def note(self, iteration: int, pages: int, figures: dict[str, float], **also) -> dict | None:
        """Counts one iteration; returns the line when one was written."""
        self.pages += pages
        for name, value in figures.items():
            if value == value:  # pages without boxes have no accuracy
                self.sums[name] = self.sums.get(name, 0.0) + value
                self.counts[name] = self.counts.get(name, 0) + 1
        if iteration % self.every:
            return None
        means = {name: round(total / self.counts[name], 5) for name, total in self.sums.items()}
        speed = self.pages / (time.monotonic() - self.since)
        line = {"iteration": iteration, **means, **also, "pages_per_second": round(speed, 3)}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self._reset()
        return line


def plot(folder: Path) -> Path:
    """Draws `curve.png` from the journal and returns its path. Lines that were written twice, after a restart, count once."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lines = {}
    for text in (folder / "log.jsonl").read_text().splitlines():
        line = json.loads(text)
        lines[line["iteration"]] = line
    lines = [lines[i] for i in sorted(lines)]
    x = [line["iteration"] for line in lines]
    figure, (losses, others) = plt.subplots(1, 2, figsize=(13, 4.5))
    for name in LOSSES:
        losses.plot(x, [line[name] for line in lines], label=name, linewidth=1)
    losses.set(xlabel="iteration", ylabel="loss", yscale="log")
    losses.legend()
    others.plot(x, [line.get("fg_accuracy") for line in lines], label="class of foreground right", color="tab:green", linewidth=1)
    others.plot(x, [line["lr"] / max(line["lr"] for line in lines) for line in lines], label="learning rate (of its peak)", color="tab:grey")
    others.set(xlabel="iteration", ylim=(0, 1.02))
    others.legend()
    figure.tight_layout()
    path = folder / "curve.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
