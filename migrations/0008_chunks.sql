-- Large documents are worked on in chunks, each a job of its own; and no row that apalis cannot read gets into our queues.

alter table documents
    -- pages of a chunk; null until the first worker has counted the pages
    add column chunk_pages integer check (chunk_pages > 0),
    -- counted up when another model takes the document over, and with each run: chunks of an earlier one are no longer wanted
    add column generation integer not null default 0;

alter table job_attempts add column chunk integer;

create function job_document(job bytea) returns bigint language sql immutable as $$
    select (convert_from(job, 'UTF8')::jsonb ->> 'document_id')::bigint
$$;

create index docreader_document_jobs_idx on apalis.jobs (job_document(job)) where job_type like 'documents%';

-- The jobs of documents. The first counts the pages and queues chunk 0 if they are many; each chunk queues the next one when it begins,
-- so that one of them waits for a free worker, behind whatever else came meanwhile.
create view document_jobs as
select j.id, j.job_type as queue, job_document(j.job) as document_id,
    (convert_from(j.job, 'UTF8')::jsonb -> 'chunk' ->> 'number')::integer as chunk,
    j.status in ('Pending', 'Queued', 'Running') or (j.status = 'Failed' and j.attempts < j.max_attempts) as live,
    j.status, j.attempts, j.max_attempts, j.priority, j.run_at, j.lock_by, j.lock_at, j.done_at
from apalis.jobs j
where j.job_type like 'documents%';

create function enqueue_chunk(document documents, model text, number integer) returns void language sql as $$
    insert into apalis.jobs (id, job_type, job, max_attempts, priority, idempotency_key)
    values (
        apalis.generate_ulid(),
        'documents:' || model,
        convert_to(jsonb_build_object(
            'document_id', document.id,
            'chunk', jsonb_build_object('generation', document.generation, 'number', number)
        )::text, 'UTF8'),
        5,
        document.priority,
        document_job_key(document) || '#' || document.generation || '.' || number
    )
    on conflict (job_type, idempotency_key) do nothing
$$;

create or replace function renew_document() returns trigger language plpgsql as $$
begin
    new.run := old.run + 1;
    new.generation := old.generation + 1;
    new.chunk_pages := null;
    new.error := null;
    new.error_code := null;
    new.queued_at := now();
    new.started_at := null;
    new.finished_at := null;
    return new;
end $$;

-- What has ended takes its waiting jobs out of the queue; workers that are at it stop when they record the next page.
create or replace function cancel_document() returns trigger language plpgsql as $$
begin
    delete from apalis.jobs
    where job_type like 'documents%' and job_document(job) = old.id
        and (status = 'Pending' or (status = 'Failed' and attempts < max_attempts));
    new.finished_at := coalesce(new.finished_at, now());
    return new;
end $$;

drop trigger documents_cancel on documents;
create trigger documents_cancel before update of status on documents
for each row when (new.status in ('canceled', 'failed') and old.status in ('pending', 'processing'))
execute function cancel_document();

create or replace function record_job_attempt() returns trigger language plpgsql as $$
declare
    args jsonb := convert_from(new.job, 'UTF8')::jsonb;
    document bigint := (args ->> 'document_id')::bigint;
    message text := new.last_result ->> 'Err';
begin
    if document is not null and not exists (select 1 from documents where id = document for key share) then
        return null;
    end if;
    insert into job_attempts (job_id, queue, document_id, chunk, worker, started_at, outcome, error)
    values (new.id, new.job_type, document, (args -> 'chunk' ->> 'number')::integer, old.lock_by, old.lock_at,
        case
            when new.status = 'Done' then 'done'
            when message = 'The worker died.' then 'worker died'
            when message like 'DeferredError%' or message = 'Re-enqueued due to worker shutdown' then 'handed back'
            when new.status = 'Killed' or new.attempts >= new.max_attempts then 'gave up'
            else 'failed'
        end,
        message);
    return null;
end $$;

-- A row that apalis cannot read ends the worker that takes it, and the next one.
create function check_job() returns trigger language plpgsql as $$
declare
    argument text := case when new.job_type = 'webhooks' then 'delivery_id' else 'document_id' end;
begin
    if new.id !~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$' then
        raise exception 'job id % is no ULID', quote_literal(new.id) using hint = 'apalis.generate_ulid() makes one.';
    end if;
    if exists (select 1 from each(new.metadata) where value is null) then
        raise exception 'metadata of a job must not hold null';
    end if;
    if jsonb_typeof(convert_from(new.job, 'UTF8')::jsonb -> argument) is distinct from 'number' then
        raise exception 'arguments of a job in queue % need the number %', quote_literal(new.job_type), argument
            using hint = 'Inserting a row into documents queues its job.';
    end if;
    return new;
end $$;

create trigger docreader_check_job before insert or update of id, job, job_type, metadata on apalis.jobs
for each row when (new.job_type like 'documents%' or new.job_type = 'webhooks')
execute function check_job();

drop view document_progress;
create view document_progress as
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

-- apalis finds the jobs that a worker reports by lock_by among all that it ever did. Who did a finished one is in job_attempts.
create function forget_worker() returns trigger language plpgsql as $$
begin
    new.lock_by := null;
    return new;
end $$;

create trigger docreader_forget_worker before update of status on apalis.jobs
for each row when (new.status = 'Done' and old.status = 'Running' and (new.job_type like 'documents%' or new.job_type = 'webhooks'))
execute function forget_worker();

-- What workers have, which is little now. (Over `status in ('Queued', 'Running')` apalis' own query, which has the primary keys, prefers to
-- read an index that is mostly dead.)
drop index apalis.docreader_live_jobs_idx;
create index docreader_held_jobs_idx on apalis.jobs (lock_by) where lock_by is not null;

create or replace function reap_workers(grace interval, silence interval) returns setof integer language plpgsql as $$
declare
    dead integer[];
begin
    if not pg_try_advisory_xact_lock(1685283428, 0) then
        return;
    end if;
    with locks as (
        select l.objid::bigint as id from pg_locks l
        where l.locktype = 'advisory' and l.classid = 1685283428 and l.objsubid = 2 and l.granted
            and l.database = (select oid from pg_database where datname = current_database())
    )
    update worker_processes w
    set suspected_at = case when not exists (select 1 from locks where locks.id = w.id) then coalesce(suspected_at, now()) end
    where ended_at is null
        and (suspected_at is null) = (not exists (select 1 from locks where locks.id = w.id));
    with ended as (
        update worker_processes
        set ended_at = now(), end_reason = case when suspected_at is null then 'silent' else 'died' end
        where ended_at is null and (suspected_at <= now() - grace or seen_at < now() - silence)
        returning id
    )
    select array_agg(id) into dead from ended;
    if dead is null then
        return;
    end if;
    update apalis.jobs
    set status = 'Pending', done_at = null, lock_by = null, lock_at = null,
        attempts = attempts + case when status = 'Running' then 1 else 0 end,
        last_result = '{"Err": "The worker died."}'
    where lock_by is not null and status in ('Running', 'Queued') and worker_process_of(lock_by) = any (dead);
    return query select unnest(dead);
end $$;

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
    w.ended_at
from worker_processes w;


-- Each job leaves four dead versions of its row, in a table that is mostly finished jobs.
alter table apalis.jobs set (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);
