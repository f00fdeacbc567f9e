#!/usr/bin/env bash
# The queue by itself: jobs a second of a worker as shipped whose jobs do nothing (webhooks that went with their documents: one look into
# the database each), and the time from a document's row to the start of its job; on an empty queue, and beside a million jobs that are
# done. Needs a release build. PostgreSQL and the worker share this machine's cores.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-30000}
worker= up= data=
trap 'kill $worker $up 2>/dev/null; wait $worker $up 2>/dev/null || true; rm -rf "$data"' EXIT
. benches/up.sh
export WEBHOOK_SECRET=benches-and-nothing-else

fill() {
  sql "insert into apalis.jobs (id, job_type, job, max_attempts)
       select apalis.generate_ulid(), 'webhooks', '{\"delivery_id\": 0}', 8 from generate_series(1, $jobs)"
}
# Of the jobs that waited when the worker came: from the first taken to the last done.
throughput() {
  until [ "$(sql "select exists (select 1 from apalis.jobs where job_type = 'webhooks' and status <> 'Done')")" = f ]; do sleep 0.2; done
  sql "select round($jobs / extract(epoch from max(done_at) - min(lock_at))) || ' jobs/s'
       from (select * from apalis.jobs where job_type = 'webhooks' order by done_at desc limit $jobs) last"
}
# One document at a time, whose file is missing: its job ends at once.
latency() {
  psql -qAt -v ON_ERROR_STOP=1 "$DATABASE_URL" <<'SQL' | tail -1
select coalesce(max(id), 0) as before from documents \gset
do $$ begin
  for i in 1..200 loop
    perform pg_sleep(0.03 + random() * 0.02);
    commit;
    insert into documents (title, object_key, size, sha256) values ('bench', 'bench/' || gen_random_uuid(), 1, repeat('0', 64));
    commit;
  end loop;
end $$;
select pg_sleep(2);
select format('%s ms p50, %s ms p95', round(percentile_cont(0.5) within group (order by ms)::numeric, 1),
       round(percentile_cont(0.95) within group (order by ms)::numeric, 1))
from (select extract(epoch from a.started_at - d.queued_at) * 1000 as ms
      from documents d join job_attempts a on a.document_id = d.id where d.id > :before) x
SQL
}

for finished in 0 ${FINISHED:-1000000}; do
  if [ $finished -gt 0 ]; then
    sql "insert into apalis.jobs (id, job_type, job, status, attempts, run_at, lock_at, done_at)
         select apalis.generate_ulid(), case when n % 2 = 0 then 'webhooks' else 'documents' end,
             convert_to(json_build_object('document_id', -n, 'delivery_id', 0)::text, 'UTF8'), 'Done', 1,
             now() - interval '1 hour', now() - interval '1 hour', now() - interval '1 hour'
         from generate_series(1, $finished) n"
    sql "vacuum analyze apalis.jobs"
  fi
  for round in 1 2 3; do
    fill
    "$app" work >"$data/worker.log" 2>&1 &
    worker=$!
    echo "beside $finished finished jobs: $(throughput), enqueue to start $(latency)"
    kill $worker
    wait $worker || true
  done
done
