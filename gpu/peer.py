"""torchvision's Mask R-CNN R50-FPN, timed on a GPU: the peer of `app bench`.

    peer.py --weights FOLDER --image PAGE [--device cuda] [--seconds 6] CONFIGURATION...

A configuration is PRECISION:BATCH:MODE.
PRECISION: f32 (TF32 off), default (as PyTorch comes), tf32 (TF32 on), f16, bf16 (autocast).
MODE: eager, nchw (eager, not channels last), compile (backbone with pyramid, RPN head, box head
and mask head, static shapes), graphs (the same, replayed as CUDA graphs).

Writes a line of JSON before each configuration, one after it, and one about PyTorch first.
The peer's work ends sooner and begins later than the program's: its input is a resized tensor on
the device, and its masks stay there as pixels. Norms are folded into the convolutions beforehand.
"""
import argparse
import contextlib
import json
import pathlib
import statistics
import sys
import time
import traceback

import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "benches/compare"))
from torchvision_r50 import build, resized  # noqa: E402

AUTOCAST = {"f16": torch.float16, "bf16": torch.bfloat16}
# Matrix products, convolutions.
TF32 = {"f32": (False, False), "tf32": (True, True)}
WARM_UP, FEWEST = 3, 5
# Seconds that must be left to begin with a configuration.
LEAST = {"eager": 8, "nchw": 8, "compile": 40, "graphs": 40}


def say(**values):
    print(json.dumps(values), flush=True)


def fold(model):
    """Norms into the convolutions before them."""
    body = model.backbone.body

    def into(parent, conv, norm):
        setattr(parent, conv, fuse_conv_bn_eval(getattr(parent, conv), getattr(parent, norm)))
        setattr(parent, norm, torch.nn.Identity())

    into(body, "conv1", "bn1")
    for stage in (body.layer1, body.layer2, body.layer3, body.layer4):
        for block in stage:
            for i in (1, 2, 3):
                into(block, f"conv{i}", f"bn{i}")
            if block.downsample is not None:
                into(block.downsample, "0", "1")


class Peer:
    def __init__(self, args):
        self.cuda = args.device == "cuda"
        self.args, self.defaults = args, self.tf32()
        self.model = build(args.weights)
        fold(self.model)
        self.model = self.model.to(args.device)
        # The input has its size already.
        self.model.transform._skip_resize = True
        for count in (self.model.rpn._pre_nms_top_n, self.model.rpn._post_nms_top_n):
            count["testing"] = args.proposals
        pixels, self.page = resized(args.image, args.short)
        self.pixels = pixels.to(args.device)
        heads = self.model.roi_heads
        self.parts = [
            (self.model, "backbone"), (self.model.rpn, "head"), (heads, "box_head"),
            (heads, "mask_head"), (heads, "mask_predictor"),
        ]
        self.plain = [getattr(parent, name) for parent, name in self.parts]
        self.paste = self.model.transform.postprocess
        self.pasting = []
        self.model.transform.postprocess = self.timed_paste

    def tf32(self):
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    def synchronize(self):
        if self.cuda:
            torch.cuda.synchronize()

    def timed_paste(self, *given):
        self.synchronize()
        started = time.perf_counter()
        result = self.paste(*given)
        self.synchronize()
        self.pasting.append(time.perf_counter() - started)
        return result

    def set_up(self, precision, mode):
        products, convolutions = TF32.get(precision, self.defaults)
        torch.backends.cuda.matmul.allow_tf32 = products
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.backends.cudnn.benchmark = True
        torch.compiler.reset()
        for (parent, name), part in zip(self.parts, self.plain):
            if mode in ("compile", "graphs"):
                how = "reduce-overhead" if mode == "graphs" else "default"
                part = torch.compile(part, dynamic=False, mode=how)
            setattr(parent, name, part)
        layout = torch.contiguous_format if mode == "nchw" else torch.channels_last
        self.model.to(memory_format=layout)
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def predict(self, batch):
        torch.compiler.cudagraph_mark_step_begin()
        self.synchronize()
        started = time.perf_counter()
        found = self.model([self.pixels] * batch)
        self.synchronize()
        return time.perf_counter() - started, found

    def measure(self, precision, batch, mode):
        self.set_up(precision, mode)
        kind = AUTOCAST.get(precision)
        # Entered once, so that the weights are converted once.
        cast = torch.autocast(self.args.device, kind) if kind else contextlib.nullcontext()
        started, times = time.perf_counter(), []
        with torch.inference_mode(), cast:
            for _ in range(WARM_UP if self.cuda else 1):
                _, found = self.predict(batch)
            warm = time.perf_counter()
            self.pasting.clear()
            while len(times) < self.args.runs:
                if len(times) >= FEWEST and time.perf_counter() - warm > self.args.seconds:
                    break
                times.append(1e3 * self.predict(batch)[0])
        median = statistics.median(times)
        return {
            "runs": len(times),
            "ms_median": round(median, 3),
            "ms_min": round(min(times), 3),
            "pages_per_second": round(1e3 * batch / median, 2),
            "paste_ms_median": round(1e3 * statistics.median(self.pasting), 3),
            "detections": [len(f["scores"]) for f in found][0],
            "peak_memory_mb": round(torch.cuda.max_memory_allocated() / 2**20) if self.cuda else None,
            "warm_up_seconds": round(warm - started, 1),
        }


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--weights", required=True)
    options.add_argument("--image", required=True)
    options.add_argument("--device", default="cuda")
    options.add_argument("--seconds", type=float, default=6, help="measured, a configuration")
    options.add_argument("--runs", type=int, default=60, help="at most")
    options.add_argument("--short", type=int, default=800, help="the page's short side, in pixels")
    options.add_argument("--proposals", type=int, default=1000)
    options.add_argument("--deadline", type=float, default=1e12, help="in seconds since 1970")
    options.add_argument("configurations", nargs="+")
    args = options.parse_args()
    peer = Peer(args)
    products, convolutions = peer.defaults
    say(
        torch=torch.__version__,
        device=torch.cuda.get_device_name() if peer.cuda else "cpu",
        cudnn=torch.backends.cudnn.version(),
        default_tf32={"products": products, "convolutions": convolutions},
        input=list(peer.pixels.shape),
        page=list(peer.page),
    )
    for name in args.configurations:
        precision, batch, mode = name.split(":")
        say(start=name)
        if args.deadline - time.time() < LEAST[mode]:
            say(end=name, error="skipped: no time")
            continue
        try:
            say(end=name, **peer.measure(precision, int(batch), mode))
        except Exception as error:
            last = traceback.format_exc().strip().splitlines()[-6:]
            say(end=name, error=f"{type(error).__name__}: {error}"[:2000], trace=last)
            if "CUDA error" in str(error):
                # Nothing works in this process any more; the next one takes what is left.
                sys.exit(3)


if __name__ == "__main__":
    main()
