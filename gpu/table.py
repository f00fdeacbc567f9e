"""gpu.json as the tables of docs/benchmarks/LOG.md: table.py FILE"""
import sys

from results import read

BATCHES = [1, 2, 4, 8, 16, 32]
# A peer's precision by the program's dtype, the nearest first.
SAME = {"f16": ["f16"], "f16-all": ["f16"], "bf16": ["f16"], "bf16-all": ["f16"], "f32": ["f32", "default", "tf32"]}
CALLED = {
    "f32": "f32, TF32 off", "default": "f32, PyTorch's defaults", "tf32": "f32, TF32 on",
    "f16": "f16 autocast", "bf16": "bf16 autocast",
}


def best_of(rows):
    """The fastest of a configuration's modes, by batch."""
    best = {}
    for row in rows:
        if "error" not in row:
            rate = row["pages_per_second"]
            if row["batch"] not in best or rate > best[row["batch"]]["pages_per_second"]:
                best[row["batch"]] = row
    return best


def columns(result):
    """A name and the figures by batch, for the program's dtypes and the peer's precisions."""
    speed = result.get("speed", {})
    app = {d: best_of(r for r in speed.get("app", []) if r["dtype"] == d) for d in ("f16", "f16-all", "bf16", "bf16-all", "f32")}
    peer = {p: best_of(r for r in speed.get("peer", []) if r["precision"] == p) for p in CALLED}
    return app, peer


def ratios(result):
    """Pages a second of the program over the peer's: at batch 1, and each at its best batch."""
    app, peer = columns(result)
    found = []
    for dtype, precisions in SAME.items():
        for precision in precisions:
            ours, theirs = app[dtype], peer[precision]
            rate = lambda row: row["pages_per_second"]
            line = {"dtype": dtype, "peer": precision}
            if 1 in ours and 1 in theirs:
                line["batch_1"] = round(rate(ours[1]) / rate(theirs[1]), 2)
                # Its pasting is a loop over regions; ours is not left out.
                line["batch_1_peer_without_pasting"] = round(
                    rate(ours[1]) * (theirs[1]["ms_median"] - theirs[1]["paste_ms_median"]) / 1e3, 2
                )
            if ours and theirs:
                a, b = max(ours.values(), key=rate), max(theirs.values(), key=rate)
                line |= {"best": round(rate(a) / rate(b), 2), "best_batches": [a["batch"], b["batch"]]}
                found.append(line)
    return found


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def fidelity_table(result):
    def number(value, form):
        return "" if value is None else format(value, form)

    rows = []
    for line in result.get("fidelity", {}).get("summary", []):
        gate = "{:g} px, {:g}".format(*line["gate"]) if line["gate"] else ""
        rows.append([
            line["fixture"], line["dtype"], f"{line['matched']} of {line['regions']}",
            str(line["within_1px_and_0.02"]), str(line["extra"]),
            number(line["box_px"], ".4f"), number(line["score"], ".1e"), number(line["mask_px"], "d"),
            number(line["mask_iou"], ".4f"), gate, line["verdict"],
        ])
    head = ["fixture", "dtype", "regions found", "within 1 px, 0.02", "extra", "box, px", "score"]
    head += ["mask, px", "mask IoU", "gate", "verdict"]
    return table(head, rows)


def speed_table(result):
    app, peer = columns(result)
    wanted = [(f"docreader, {d}", by) for d, by in app.items() if by]
    wanted += [(f"PyTorch, {CALLED[p]}", by) for p, by in peer.items() if by]
    rows = []
    for batch in BATCHES:
        cells = []
        for name, by in wanted:
            row = by.get(batch)
            mode = f" {row['mode']}" if row and "mode" in row else ""
            cells.append(f"{row['ms_median']:.1f} ms, {row['pages_per_second']:.0f}/s{mode}" if row else "")
        if any(cells):
            rows.append([str(batch), *cells])
    return table(["batch", *(name for name, _ in wanted)], rows) if rows else "No speed was measured."


def pasting(result):
    app, peer = columns(result)
    rows = [(p, row) for p, by in peer.items() for b, row in sorted(by.items()) if b in (1, 8, 16)]
    return [f"{CALLED[p]} {r['batch']}: {r['paste_ms_median']:.1f} of {r['ms_median']:.1f} ms" for p, r in rows]


def failures(result):
    """What has no figure, by what it said first."""
    by_reason = {}
    for who in ("app", "peer"):
        for row in result.get("speed", {}).get(who, []):
            if "error" in row:
                name = [who, row.get("dtype") or row["precision"], str(row["batch"]), row.get("mode", "")]
                lines = row["error"].strip().splitlines() or ["no reason"]
                # The last line of a program's complaint says more than its exit status.
                reason = lines[0] if len(lines) == 1 else f"{lines[0]}: {lines[-1]}"
                by_reason.setdefault(reason, []).append(" ".join(name).strip())
    return [f"- {reason[:300]}: {', '.join(names)}" for reason, names in by_reason.items()]


def show(result):
    title = f"`gpu/check.sh` on {result.get('date', '?')}, {result.get('gpu', '?')}:"
    parts = [title, fidelity_table(result)]
    if result.get("dry_run"):
        parts.append("A dry run: the program and PyTorch ran different models, which cannot be compared.")
    parts.append(speed_table(result))
    lines = []
    for r in [] if result.get("dry_run") else ratios(result):
        one = ""
        if "batch_1" in r:
            one = f"{r['batch_1']} at batch 1 ({r['batch_1_peer_without_pasting']} without its pasting), "
        best = "**{}** at the best batches ({} and {})".format(r["best"], *r["best_batches"])
        lines.append(f"- docreader {r['dtype']} / PyTorch {CALLED[r['peer']]}: {one}{best}")
    if lines:
        parts.append("Pages a second:\n\n" + "\n".join(lines))
    if pasting(result):
        parts.append("Pasting masks, of PyTorch's time: " + "; ".join(pasting(result)) + ".")
    if failures(result):
        parts.append("Without a figure:\n\n" + "\n".join(failures(result)))
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(show(read(sys.argv[1])))
