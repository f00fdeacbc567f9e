"""Runs the program on every page of the fixtures and compares it with Detectron2's answers.

    fidelity.py --app APP --fixtures DIR --json FILE [--device cuda] [--dtypes f32,f16,f16-all,bf16,bf16-all]
                [--jobs 8] [--deadline SECONDS_SINCE_1970]

Judged as tests/rcnn/fidelity.rs judges: for each reference region, the nearest of its class that
is not taken yet; regions near the threshold may come and go. Needs nothing but Python.
"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import sys

from results import Clock, run, update

# Fixtures with trained weights, and the threshold that their answers were written with.
TRAINED, TRAINED_THRESHOLD = ("tiny_mask", "tiny_faster"), 0.3
# Random, narrow members of the family: they amplify rounding.
FAMILY_THRESHOLD = 0.05
# By dtype: pixels, score. What is not here is only reported.
GATES = {"f32": (0.01, 1e-4), "f16": (1.0, 0.02), "bf16": (1.0, 0.02)}
FAMILY_GATES = {"f32": (0.5, 0.005)}
# A region further away than this is another one; the threshold's neighbourhood.
REACH = 5.0
MARGIN = {"f32": 0.002, "f16": 0.02, "f16-all": 0.02, "bf16": 0.02, "bf16-all": 0.05}
# Of f32's masks, as in fidelity.rs.
MASK_IOU = 0.999


def edges(rle):
    """Where the runs of a COCO mask begin and end, in its pixels column by column."""
    counts, numbers = rle["counts"], []
    if isinstance(counts, list):
        numbers = counts
    else:
        at = 0
        while at < len(counts):
            value = shift = 0
            more = True
            while more:
                bits = ord(counts[at]) - 48
                value |= (bits & 0x1F) << shift
                more, at, shift = bits & 0x20, at + 1, shift + 5
            if bits & 0x10:
                value -= 1 << shift
            numbers.append(value + numbers[-2] if len(numbers) > 2 else value)
    ends, total = [], 0
    for number in numbers:
        total += number
        ends.append(total)
    assert total == rle["size"][0] * rle["size"][1], "a mask's runs do not fill it"
    # The last end closes a run of ones, or it is the end of the mask.
    return ends if len(ends) % 2 == 0 else ends[:-1]


def area(ends):
    return sum(ends[1::2]) - sum(ends[0::2])


def disagreement(ours, theirs):
    """Pixels that are in one mask alone, and the intersection over the union."""
    assert ours["size"] == theirs["size"], "masks of other sizes"
    a, b = edges(ours), edges(theirs)
    # Pixels in one alone begin and end at edges of either.
    apart, both = area(sorted(a + b)), area(a) + area(b)
    return apart, (both - apart) / (both + apart) if both + apart else 1.0


def compare(found, want, threshold, margin):
    """One page's differences."""
    free, pixels, scores, masks, ious, lost = list(found), [], [], [], [], 0
    for i, (box, score, class_id) in enumerate(zip(want["boxes"], want["scores"], want["classes"])):
        off = lambda d: max(abs(a - b) for a, b in zip(d["box_px"], box))
        near = [d for d in free if d["class_id"] == class_id and off(d) < REACH]
        if not near:
            lost += score > threshold + margin
            continue
        best = min(near, key=off)
        free.remove(best)
        pixels.append(off(best))
        scores.append(abs(best["score"] - score))
        if want.get("masks_rle"):
            apart, iou = disagreement(best["mask_rle"], want["masks_rle"][i])
            masks.append(apart)
            ious.append(iou)
    return {
        "regions": len(want["boxes"]),
        "matched": len(pixels),
        "lost": lost,
        "extra": sum(d["score"] > threshold + margin for d in free),
        "box_px": max(pixels, default=0.0),
        "score": max(scores, default=0.0),
        "mask_px": max(masks, default=None),
        "mask_px_all": sum(masks) if masks else None,
        "mask_iou": min(ious, default=None),
        "within_1px_and_0.02": sum(p < 1 and s < 0.02 for p, s in zip(pixels, scores)),
    }


def check_page(args, clock, folder, dtype, number):
    want = json.loads((folder / f"page{number}.json").read_text())
    margin = MARGIN.get(dtype, 0.05)
    threshold = TRAINED_THRESHOLD if folder.name in TRAINED else FAMILY_THRESHOLD
    ask = max(threshold - margin, 0.0)
    limit = re.search(r"DETECTIONS_PER_IMAGE: *(\d+)", (folder / "config.yaml").read_text())
    if limit and len(want["scores"]) == int(limit[1]):
        # The page is full: its last region is as near to being left out as one at the threshold.
        threshold = max(threshold, min(want["scores"]))
    command = [args.app, "detect", str(folder / f"page{number}.png"), "--model", str(folder), "--json"]
    command += ["--device", args.device, "--model-dtype", dtype, "--score-threshold", f"{ask:.4f}"]
    report, error = run(command, clock.most(args.seconds))
    page = {"fixture": folder.name, "page": number, "dtype": dtype}
    if error:
        return page | {"error": error}
    try:
        return page | compare(report["pages"][0]["detections"], want, threshold, margin)
    except (AssertionError, KeyError, IndexError, TypeError, ValueError) as wrong:
        return page | {"error": f"{type(wrong).__name__}: {wrong}"}


def summary(pages, fixture, dtype):
    """All pages of a fixture in one line, with its gate."""
    mine = [p for p in pages if (p["fixture"], p["dtype"]) == (fixture, dtype)]
    good = [p for p in mine if "error" not in p]
    errors = [p["error"] for p in mine if "error" in p]
    line = {"fixture": fixture, "dtype": dtype, "pages": len(good), "errors": errors}
    for name in ("regions", "matched", "lost", "extra", "within_1px_and_0.02"):
        line[name] = sum(p[name] for p in good)
    for name, worst in (("box_px", max), ("score", max), ("mask_px", max), ("mask_iou", min)):
        line[name] = worst((p[name] for p in good if p[name] is not None), default=None)
    gate = (GATES if fixture in TRAINED else FAMILY_GATES).get(dtype)
    line["gate"] = gate
    if gate is None:
        line["verdict"] = "failed to run" if errors else "reported"
        return line
    near = good and line["box_px"] < gate[0] and line["score"] < gate[1]
    masks = dtype != "f32" or fixture not in TRAINED or (line["mask_iou"] or 1.0) > MASK_IOU
    held = near and masks and not (errors or line["lost"] or line["extra"])
    line["verdict"] = "held" if held else "failed"
    return line


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--app", required=True)
    options.add_argument("--fixtures", required=True, type=pathlib.Path)
    options.add_argument("--json", required=True)
    options.add_argument("--device", default="cuda")
    options.add_argument("--dtypes", default="f32,f16,f16-all,bf16,bf16-all")
    options.add_argument("--jobs", type=int, default=8)
    options.add_argument("--seconds", type=float, default=40, help="a page's")
    options.add_argument("--deadline", type=float, default=1e12)
    args = options.parse_args()
    clock, dtypes = Clock(args.deadline), args.dtypes.split(",")
    folders = sorted(f.parent for f in args.fixtures.glob("*/config.yaml"))
    folders.sort(key=lambda f: f.name not in TRAINED)
    work = [
        (folder, dtype, number)
        for dtype in dtypes
        for folder in folders
        for number in range(len(list(folder.glob("page*.json"))))
    ]
    pages = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        jobs = [pool.submit(check_page, args, clock, *item) for item in work]
        for job in concurrent.futures.as_completed(jobs):
            pages.append(job.result())
            pairs = [(folder.name, dtype) for dtype in dtypes for folder in folders]
            lines = [summary(pages, *pair) for pair in pairs]
            lines = [line for line in lines if line["pages"] or line["errors"]]
            update(args.json, fidelity={"summary": lines, "pages": pages, "complete": len(pages) == len(work)})
    for line in lines:
        boxes = f"{line['box_px']:.4f} px, {line['score']:.1e}" if line["pages"] else "none"
        print(f"{line['fixture']} {line['dtype']}: {line['matched']} of {line['regions']}, {boxes}, {line['verdict']}")
        for error in line["errors"][:1]:
            print(error)
    return int(any(line["verdict"].startswith("failed") for line in lines) or not lines)


if __name__ == "__main__":
    sys.exit(main())
