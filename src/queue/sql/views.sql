-- For psql, and for what reads the queue.

-- The jobs of documents.
create or replace view document_jobs as
select j.id, j.job_type as queue, job_document(j.job) as document_id,
    (convert_from(j.job, 'UTF8')::jsonb -> 'chunk' ->> 'number')::integer as chunk,
    job_is_live(j) as live,
    j.status, j.attempts, j.max_attempts, j.priority, j.run_at, j.lock_by, j.lock_at, j.done_at
from apalis.jobs j
where j.job_type like 'documents%';

create or replace view document_progress as
select d.id, d.title, d.status, d.pages_done || '/' || coalesce(d.page_count::text, '?') as pages,
    now() - d.started_at as running_for,
    case when d.status = 'processing' and d.pages_done > 0 and d.page_count > 0
        then (now() - d.started_at) * ((d.page_count - d.pages_done)::float8 / d.pages_done) end as expected,
    (select count(*) from job_attempts a where a.document_id = d.id) as attempts,
    (select count(*) from document_jobs j where j.document_id = d.id and j.live) as jobs,
    (select array_agg(distinct worker_process_of(j.lock_by)) from document_jobs j
     where j.document_id = d.id and j.status = 'Running') as workers,
    d.error
from documents d;

create or replace view queue_health as
select j.job_type as queue,
    count(*) filter (where j.status = 'Pending' and j.run_at <= now()) as ready,
    count(*) filter (where j.status in ('Pending', 'Failed') and j.attempts < j.max_attempts and j.run_at > now()) as scheduled,
    count(*) filter (where j.status in ('Queued', 'Running')) as running,
    count(*) filter (where job_is_dead(j)) as dead,
    count(*) filter (where j.status = 'Done') as done,
    max(now() - j.run_at) filter (where j.status = 'Pending' and j.run_at <= now()) as oldest_wait
from apalis.jobs j
group by j.job_type;

create or replace view queue_workers as
select w.id, w.host, w.pid, w.model, w.started_at,
    case
        when w.ended_at is not null then w.end_reason
        when w.suspected_at is not null then 'suspected'
        else 'alive'
    end as state,
    now() - w.seen_at as silent_for,
    (select count(*) from apalis.jobs j
     where j.lock_by is not null and j.status in ('Queued', 'Running') and worker_process_of(j.lock_by) = w.id) as jobs,
    w.ended_at, w.memory_mb
from worker_processes w;

create or replace view queue_jobs as
select j.id, j.job_type as queue, convert_from(j.job, 'UTF8')::jsonb as args, j.status, j.attempts, j.max_attempts, j.priority,
    case
        when j.status in ('Queued', 'Running') then 'runs'
        when j.status = 'Done' then 'done'
        when job_is_dead(j) then 'dead'
        when exists (select 1 from paused_queues p where p.queue = split_part(j.job_type, ':', 1)) then 'paused'
        when j.run_at > now() then 'waits until ' || to_char(j.run_at, 'HH24:MI:SS') || ', after attempt ' || j.attempts
        when not exists (
            select 1 from worker_processes w
            where w.ended_at is null and j.job_type in ('documents', 'webhooks', 'documents:' || w.model)
        ) then 'no worker for it is up'
        else 'waits for a worker'
    end as state,
    j.run_at, now() - j.run_at as age, j.lock_by as worker, j.lock_at as started_at,
    case when j.status in ('Queued', 'Running') then now() - j.lock_at else j.done_at - j.lock_at end as took,
    j.last_result ->> 'Err' as error
from apalis.jobs j;

-- Jobs that have a worker by name, and that none is at.
create or replace view lost_jobs as
select j.id, j.job_type as queue, j.lock_by, j.lock_at
from apalis.jobs j left join worker_processes w on w.id = worker_process_of(j.lock_by)
where j.lock_by is not null and j.status in ('Running', 'Queued')
    and (w.id is null or w.ended_at is not null or j.lock_by <> all (w.workers));
