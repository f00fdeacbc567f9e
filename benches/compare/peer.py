"""The same network in PyTorch: torchvision's Mask R-CNN R50-FPN with the weights of a folder that make_model.py wrote.

    peer.py FOLDER IMAGE RUNS [THREADS]      one line of milliseconds a run, then the regions as JSON

The image is resized by Pillow beforehand, as Detectron2 does it, so the time is without that.
"""
import json
import pathlib
import sys
import time

import torch
from torchvision_r50 import build, resized

folder, image, runs = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) > 4 else 2)
model = build(folder)
pixels, (width, height) = resized(image)
with torch.inference_mode():
    model([pixels])
    for _ in range(runs):
        started = time.perf_counter()
        (found,) = model([pixels])
        print(f"{1e3 * (time.perf_counter() - started):.1f}", flush=True)
scale = [width / pixels.shape[2], height / pixels.shape[1]] * 2
boxes = (found["boxes"] * torch.tensor(scale)).tolist()
status = pathlib.Path("/proc/self/status").read_text()
peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
classes = (found["labels"] - 1).tolist()
print(json.dumps({"boxes": boxes, "scores": found["scores"].tolist(), "classes": classes, "peak_mb": round(peak)}))
