-- A database that has been used for years: `n` documents, some of which wait. psql -v n=1000001 -f benches/million.sql
-- Triggers and foreign keys would take hours and find nothing.
set session_replication_role = replica;
set synchronous_commit = off;
set work_mem = '256MB';
set maintenance_work_mem = '1GB';

insert into models (name, sha256, classes) values ('default', repeat('ab', 32), '{text,title,list,table,figure}');

insert into worker_processes (host, pid, model, workers) select 'host-' || g, g, 'default', '{}' from generate_series(1, 3) g;
insert into apalis.workers (id, worker_type, storage_name, layers)
select w.id || ':documents:x', 'documents', 's', 'l' from worker_processes w;

-- One in a hundred waits, a few run, some failed or were canceled.
insert into documents (title, object_key, size, sha256, status, page_count, pages_in_file, pages_done, error, error_code, model_id, created_at,
    queued_at, started_at, finished_at)
select
    (array['Annual report', 'Invoice', 'Handbook of maintenance', 'Specification', 'Minutes', 'Thesis on layouts', 'Letter'])[1 + g % 7]
        || ' ' || md5(g::text) || ' ' || g,
    'media/' || g || '.pdf', 100000 + g % 900000, encode(sha256(g::text::bytea), 'hex'), s.status::document_status,
    case when s.status <> 'pending' then 3 end, case when s.status <> 'pending' then 3 end, case when s.status = 'done' then 3 else 0 end,
    case when s.status = 'failed' then 'The file is damaged or incomplete and cannot be opened.' end,
    case when s.status = 'failed' then 'damaged' end,
    case when s.status <> 'pending' then 1 end, now() - (:n - g) * interval '30 s', now() - (:n - g) * interval '30 s',
    case when s.status <> 'pending' then now() - (:n - g) * interval '30 s' + interval '2 s' end,
    case when s.status in ('done', 'failed', 'canceled') then now() - (:n - g) * interval '30 s' + interval '5 s' end
from generate_series(1, :n) g,
    lateral (select case when g > :n * 0.99 then 'pending' when g % 500 = 7 then 'failed' when g % 900 = 11 then 'canceled' else 'done' end) s (status);
update documents set status = 'processing' where id in (select id from documents where status = 'pending' order by id limit 3);

insert into uploads (object_key, document_id, started_at) select object_key, id, created_at from documents;

insert into pages (document_id, model_id, number, width_pt, height_pt, width_px, height_px, overlay_key, image_key, render_ms, detect_ms, created_at)
select d.id, 1, p, 595, 842, 893, 1263, format('results/%s/default-abababab/page-%s/overlay.png', d.id, p),
    format('results/%s/default-abababab/page-%s/page.png', d.id, p), 20, 300, d.created_at
from documents d, generate_series(1, 3) p where d.status = 'done' order by d.id, p;

insert into detections (page_id, ordinal, class_id, label, score, x0_pt, y0_pt, x1_pt, y1_pt, x0_px, y0_px, x1_px, y1_px, crop_key)
select p.id, o, o % 5, (array['text', 'title', 'list', 'table', 'figure'])[1 + o % 5], 0.99 - o * 0.03, 50, 60 * o, 500, 60 * o + 50,
    75, 90 * o, 750, 90 * o + 75, case when o < 6 then 'results/' || p.document_id || '/default-abababab/page-' || p.number || '/crops/' || o || '.png' end
from pages p, generate_series(0, 11) o order by p.id, o;

insert into document_events (document_id, kind, data, created_at)
select d.id, k, '{"status": "processing", "pages_done": 1, "page_count": 3}', d.created_at
from documents d, unnest(array['queued', 'started', 'page', 'page', 'page', 'done']) with ordinality e (k, i)
where d.status = 'done' order by d.id, i;
-- One that was followed for long.
insert into document_events (document_id, kind, data)
select (select max(id) from documents where status = 'done'), 'page', '{"status": "processing"}' from generate_series(1, 5000);
insert into document_events (document_id, kind, data)
select (select max(id) from documents where status = 'done'), 'done', '{"status": "done"}';

insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, done_at, lock_at, lock_by, idempotency_key, last_result)
select apalis.generate_ulid(), 'documents', convert_to(jsonb_build_object('document_id', d.id)::text, 'UTF8'),
    case d.status when 'pending' then 'Pending' when 'processing' then 'Running' when 'failed' then 'Killed' else 'Done' end,
    case d.status when 'pending' then 0 else 1 end, 5, d.created_at, d.finished_at, d.started_at,
    case when d.status = 'processing' then '1:documents:x' end, 'document:' || d.id,
    case when d.status = 'failed' then '{"Err": "AbortError: The file is damaged or incomplete and cannot be opened."}'::jsonb else '{"Ok": null}' end
from documents d where d.status <> 'canceled' order by d.id;
update worker_processes set workers = '{1:documents:x}' where id = 1;

insert into job_attempts (job_id, queue, document_id, worker, started_at, ended_at, outcome)
select j.id, j.job_type, job_document(j.job), '1:documents:x', j.lock_at, j.done_at, 'done' from apalis.jobs j where j.status in ('Done', 'Killed');

-- Tokens that are no more, and one that is.
insert into api_tokens (name, token_sha256, scope, revoked_at)
select 'old ' || g, encode(sha256(('old' || g)::bytea), 'hex'), 'read', now() from generate_series(1, 5000) g;

vacuum (analyze);
