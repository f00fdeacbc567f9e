"""What a check leaves: one JSON file that is written anew after each step, and bounded runs."""
import json
import os
import pathlib
import subprocess
import time


def read(path):
    path = pathlib.Path(path)
    return json.loads(path.read_text()) if path.exists() else {}


def update(path, **parts):
    """Sets top-level parts of the file, whole or not at all."""
    path = pathlib.Path(path)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(read(path) | parts, indent=1) + "\n")
    os.replace(new, path)


def tail(text, lines=12):
    return "\n".join((text or "").strip().splitlines()[-lines:])


def run(command, seconds):
    """The command's output as JSON and None, or None and what went wrong."""
    if seconds < 1:
        return None, "skipped: no time"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as late:
        said = late.stderr.decode(errors="replace") if late.stderr else ""
        return None, f"no answer in {seconds:.0f} s\n{tail(said)}".strip()
    except OSError as error:
        return None, str(error)
    if done.returncode != 0:
        return None, f"exit status {done.returncode}\n{tail(done.stderr)}".strip()
    try:
        report, _ = json.JSONDecoder().raw_decode(done.stdout, done.stdout.index("{"))
        # Warnings, as of a batch that was halved for want of memory.
        return report | ({"stderr": tail(done.stderr)} if done.stderr else {}), None
    except ValueError:
        return None, f"no JSON: {tail(done.stdout, 3)}\n{tail(done.stderr)}".strip()


class Clock:
    """What is left until a deadline in seconds since 1970."""

    def __init__(self, deadline):
        self.deadline = deadline

    def left(self):
        return self.deadline - time.time()

    def most(self, seconds):
        return min(seconds, self.left())
