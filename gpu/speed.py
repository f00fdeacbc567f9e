"""Times the program and its peer in turns, the most telling figures first.

    speed.py --app APP --model FOLDER --weights FOLDER --image PAGE --json FILE
             --deadline SECONDS_SINCE_1970 [--device cuda] [--dry-run]

What there is no time for is listed as skipped.
"""
import argparse
import contextlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from results import Clock, run, tail, update
from table import ratios

HERE = pathlib.Path(__file__).resolve().parent
NO_TIME = "skipped: no time"
# Seconds that a configuration of the peer may take, and its start.
MOST = {"eager": 60, "nchw": 60, "compile": 120, "graphs": 120}
START = 60


def names(precision, batches, mode="eager"):
    return [f"{precision}:{batch}:{mode}" for batch in batches]


PLAN = [
    ("app", "f16", [1]),
    ("app", "f32", [1]),
    ("app", "f16", [8, 16]),
    ("app", "f32", [8, 16]),
    ("peer", names("f16", [1, 8, 16]) + names("tf32", [1]) + names("f32", [1])),
    ("app", "f16-all", [1, 8, 16, 32]),
    ("peer", names("f16", [8, 1], "compile") + names("tf32", [8]) + names("f32", [8])),
    ("app", "bf16-all", [16]),
    ("app", "f16", [2, 4, 32]),
    ("app", "f32", [2, 4, 32]),
    (
        "peer",
        names("f16", [16], "compile") + names("f16", [1], "graphs") + names("tf32", [1, 8], "compile") + names("f32", [1, 8], "nchw")
        + names("default", [1, 8]) + names("f16", [32]) + names("tf32", [16, 32]) + names("f32", [16])
        + names("f16", [32], "compile"),
    ),
    ("app", "f16-all", [2, 4]),
    ("app", "bf16", [1, 16]),
    (
        "peer",
        names("f16", [2, 4]) + names("tf32", [2, 4]) + names("f32", [2, 4, 32])
        + names("f16", [2, 4], "compile") + names("tf32", [16], "compile"),
    ),
]
DRY_PLAN = [("app", "f32", [1, 2]), ("peer", names("f32", [1, 2]))]


class Check:
    def __init__(self, args):
        self.args, self.clock = args, Clock(args.deadline)
        self.app, self.peer, self.about = [], [], {}
        # A page's milliseconds by dtype, once known.
        self.page_ms = {}
        total = self.clock.left()
        self.measured = 0.5 if args.dry_run else max(2.0, min(6.0, total / 50))

    def save(self):
        speed = {"app": self.app, "peer": self.peer, "peer_about": self.about}
        # In a dry run the program and the peer run different models.
        found = [] if self.args.dry_run else ratios({"speed": speed})
        update(self.args.json, speed=speed, dry_run=self.args.dry_run, ratios=found)

    def bench(self, dtype, batches):
        """One start of the program; if it breaks, one for each batch."""
        runs = 60
        if dtype in self.page_ms:
            pages = sum(batches) / len(batches)
            runs = max(5, min(30, round(1e3 * self.measured / (self.page_ms[dtype] * pages))))
        command = [self.args.app, "bench", self.args.image, "--model", self.args.model, "--json"]
        command += ["--device", self.args.device, "--model-dtype", dtype, "--score-threshold", "0.05"]
        command += ["--batch", ",".join(map(str, batches))]
        command += ["--runs", str(2 if self.args.dry_run else runs)]
        report, error = run(command, self.clock.most(60))
        rows = report.pop("batches", []) if isinstance(report, dict) else []
        if not rows:
            error = error or "no batches in its answer"
            print(f"app {dtype} {batches}: {error}")
            if len(batches) > 1 and dtype in self.page_ms and error.startswith("exit"):
                for batch in batches:
                    self.bench(dtype, [batch])
                return
            self.app += [{"dtype": dtype, "batch": batch, "error": error} for batch in batches]
        for row in rows:
            if row.get("error") or row["ms_median"] is None:
                row = {"batch": row["batch"], "error": row.get("error") or "no time in its answer"}
                print(f"app {dtype} {row['batch']}: {row['error']}")
            else:
                row = {name: value for name, value in row.items() if value is not None}
                self.page_ms.setdefault(dtype, row["ms_median"] / row["batch"])
                print(f"app {dtype} {row['batch']}: {row['ms_median']:.2f} ms")
            self.app.append({"dtype": dtype} | row | {"start": report})
        self.save()

    def peers(self, todo):
        """The peer's configurations, in one process as long as it lives."""
        todo = list(todo)
        while todo:
            if self.clock.left() < 10:
                for name in list(todo):
                    self.tell(name, {"error": NO_TIME}, todo)
                return
            self.peer_process(todo)

    def peer_process(self, todo):
        """Takes what is done from `todo`, one at least."""
        command = [sys.executable, str(HERE / "peer.py"), "--weights", self.args.weights]
        command += ["--image", self.args.image, "--device", self.args.device]
        command += ["--seconds", f"{self.measured:.1f}", "--deadline", f"{self.clock.deadline:.0f}"]
        if self.args.dry_run:
            command += ["--short", "128", "--proposals", "50", "--runs", "2"]
        errors = tempfile.TemporaryFile("w+")
        # A group of its own, so that the compiler's helpers end with it.
        process = subprocess.Popen(
            command + todo, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        lines = queue.Queue()
        threading.Thread(target=feed, args=(process.stdout, lines), daemon=True).start()
        before, current, until, late = len(todo), None, time.time() + START, False
        while not late:
            try:
                told = lines.get(timeout=max(0.1, min(until, self.clock.deadline) - time.time()))
            except queue.Empty:
                late = True
                continue
            if told is None:
                break
            if "start" in told:
                current = told["start"]
                until = time.time() + MOST[current.split(":")[2]]
            elif "end" in told:
                self.tell(told.pop("end"), told, todo)
                current, until = None, time.time() + START
            else:
                self.about = told
        stop(process)
        errors.seek(0)
        said = tail(errors.read())
        why = "no answer in time" if late else f"ended with {process.returncode}"
        if current or len(todo) == before:
            print(said)
        if current:
            self.tell(current, {"error": f"{why}\n{said}"}, todo)
        elif len(todo) == before:
            # It would not start the next time either.
            for name in list(todo):
                self.tell(name, {"error": f"the peer did not start: {why}\n{said}"}, todo)

    def tell(self, name, told, todo):
        precision, batch, mode = name.split(":")
        self.peer.append({"precision": precision, "batch": int(batch), "mode": mode} | told)
        todo.remove(name)
        said = (told.get("error") or "%.2f ms" % told["ms_median"]).splitlines()
        print(f"peer {name}: {said[0]}" + (f" … {said[-1]}" if len(said) > 1 else ""))
        self.save()


def feed(stream, lines):
    """What the peer says, then None."""
    for line in stream:
        try:
            lines.put(json.loads(line))
        except ValueError:
            continue
    lines.put(None)


def stop(process):
    """Ends the process group that was started here."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--app", required=True)
    options.add_argument("--model", required=True, help="the program's")
    options.add_argument("--weights", required=True, help="the peer's model")
    options.add_argument("--image", required=True)
    options.add_argument("--json", required=True)
    options.add_argument("--deadline", type=float, required=True)
    options.add_argument("--device", default="cuda")
    options.add_argument("--dry-run", action="store_true")
    args = options.parse_args()
    check = Check(args)
    for kind, *what in DRY_PLAN if args.dry_run else PLAN:
        try:
            (check.bench if kind == "app" else check.peers)(*what)
        except Exception:
            # The other steps still have something to tell.
            traceback.print_exc()
    return int(not any("error" not in row for row in check.app))


if __name__ == "__main__":
    sys.exit(main())
