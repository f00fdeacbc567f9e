#!/usr/bin/env bash
# A document of 1,000 pages on one, two and three workers, each held to 0.4 of a core (cgroup v1, as root), so that a machine with two cores
# has room for three; meanwhile a small document comes in every 10 s, and how long each takes. Needs a release build.
set -euo pipefail
cd "$(dirname "$0")/.."
pages=${PAGES:-1000}
every=${EVERY:-10}
workers=() up= data=
trap 'kill "${workers[@]}" $up 2>/dev/null; wait 2>/dev/null || true; rm -rf "$data"; rmdir /sys/fs/cgroup/cpu/docreader-* 2>/dev/null || true' EXIT
. benches/up.sh
pdf() {
  python3 - "$1" <<'PY'
import sys
n, out, offsets = int(sys.argv[1]), bytearray(b"%PDF-1.4\n"), []
def add(text):
    offsets.append(len(out)); out.extend(f"{len(offsets)} 0 obj\n{text}\nendobj\n".encode())
add("<< /Type /Catalog /Pages 2 0 R >>")
add(f"<< /Type /Pages /Count {n} /Kids [{' '.join(f'{3 + i} 0 R' for i in range(n))}] >>")
for i in range(n):
    add(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {3 + n} 0 R /Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>")
lines = "BT /F 11 Tf 72 720 Td 14 TL " + " ".join("(The quick brown fox jumps over the lazy dog, again and again.) Tj T*" for _ in range(40)) + " ET"
add(f"<< /Length {len(lines)} >>\nstream\n{lines}\nendstream")
table = len(out)
out.extend(f"xref\n0 {len(offsets) + 1}\n0000000000 65535 f \n".encode() + b"".join(f"{o:010} 00000 n \n".encode() for o in offsets))
out.extend(f"trailer\n<< /Size {len(offsets) + 1} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n".encode())
sys.stdout.buffer.write(out)
PY
}
pdf "$pages" >"$data/large.pdf"
pdf 1 >"$data/small.pdf"
first=
for count in 1 2 3; do
  workers=()
  for i in $(seq $count); do
    group=/sys/fs/cgroup/cpu/docreader-$i
    mkdir -p "$group"
    echo 40000 >"$group/cpu.cfs_quota_us"
    (echo $BASHPID >"$group/cgroup.procs"; RAYON_NUM_THREADS=1 exec "$app" work) >"$data/worker-$i.log" 2>&1 &
    workers+=($!)
  done
  until [ "$(sql "select count(*) from worker_processes where ended_at is null")" = $count ]; do sleep 0.1; done
  curl -sf -o /dev/null -F title=large -F "file=@$data/large.pdf" "$api"
  while [ "$(sql "select status from documents where title = 'large' order by id desc limit 1")" != done ]; do
    sleep $every
    curl -sf -o /dev/null -F "title=small $count" -F "file=@$data/small.pdf" "$api"
  done
  sleep 3
  took=$(sql "select round(extract(epoch from finished_at - started_at)::numeric, 1) from documents where title = 'large' order by id desc limit 1")
  first=${first:-$took}
  small=$(sql "select round(percentile_cont(0.5) within group (order by extract(epoch from finished_at - queued_at))::numeric, 2) || ' s p50, ' ||
    round(max(extract(epoch from finished_at - queued_at))::numeric, 2) || ' s at most' from documents where title = 'small $count'")
  echo "$count workers: $pages pages in $took s, $(awk -v a="$first" -v b="$took" 'BEGIN {printf "%.2f", a / b}') times as fast as one; small documents $small"
  kill "${workers[@]}"
  wait "${workers[@]}" || true
done
