-- Who works, who has died, and how attempts went.

-- A worker process. While it lives it holds advisory lock (1685283428, id) on a connection of its own, and says so in seen_at; the
-- names of its apalis workers begin with its id and a colon.
create table worker_processes (
    id integer generated always as identity primary key,
    host text not null,
    pid integer not null,
    model text not null,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    -- since when its lock is missing
    suspected_at timestamptz,
    ended_at timestamptz,
    -- stopped: as it was told; died: its lock was gone; silent: it held the lock and said nothing
    end_reason text check (end_reason in ('stopped', 'died', 'silent')),
    check ((ended_at is null) = (end_reason is null))
);
create index worker_processes_alive_idx on worker_processes (id) where ended_at is null;

create function worker_process_of(worker text) returns integer language sql immutable as $$
    select case when worker ~ '^[0-9]{1,9}:' then split_part(worker, ':', 1)::integer end
$$;

-- One row for each time that a worker had a job, written when it no longer has it.
create table job_attempts (
    id bigint generated always as identity primary key,
    job_id text not null,
    queue text not null,
    document_id bigint references documents (id) on delete cascade,
    worker text,
    started_at timestamptz,
    ended_at timestamptz not null default now(),
    outcome text not null check (outcome in ('done', 'failed', 'gave up', 'handed back', 'worker died')),
    error text
);
create index job_attempts_document_id_idx on job_attempts (document_id, id);
create index job_attempts_ended_at_idx on job_attempts (ended_at);

create function record_job_attempt() returns trigger language plpgsql as $$
declare
    document bigint := (convert_from(new.job, 'UTF8')::jsonb ->> 'document_id')::bigint;
    message text := new.last_result ->> 'Err';
begin
    if document is not null and not exists (select 1 from documents where id = document for key share) then
        return null;
    end if;
    insert into job_attempts (job_id, queue, document_id, worker, started_at, outcome, error)
    values (new.id, new.job_type, document, old.lock_by, old.lock_at,
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

create trigger docreader_record_attempt after update of status on apalis.jobs
for each row when (
    old.status = 'Running' and new.status <> 'Running' and (new.job_type like 'documents%' or new.job_type = 'webhooks')
)
execute function record_job_attempt();

-- The first death of a worker may be an accident, so its job waits no longer; after that it may be the job's fault.
create or replace function guard_job() returns trigger language plpgsql as $$
declare
    message text := new.last_result ->> 'Err';
    delay interval := least(interval '1 hour', interval '1 second' * power(new.attempts, 4)) * (0.9 + random() * 0.2);
begin
    if message like 'DeferredError%' or message = 'Re-enqueued due to worker shutdown' then
        new.attempts := old.attempts;
        new.status := 'Pending';
        new.run_at := least(new.run_at, now());
        new.lock_by := null;
    elsif new.attempts >= new.max_attempts then
        new.status := 'Failed';
        new.done_at := coalesce(new.done_at, now());
    else
        if message = 'The worker died.' and new.attempts <= 1 then
            delay := interval '0';
        end if;
        new.run_at := now() + delay;
        new.lock_by := null;
    end if;
    return new;
end $$;

create or replace function fail_document_of_dead_job() returns trigger language plpgsql as $$
begin
    update documents
    set status = 'failed',
        error = case
            when new.last_result ->> 'Err' = 'The worker died.'
            then 'The worker died ' || new.attempts || ' times while it was at this document; the file may be malicious or need too much memory.'
            else 'Processing was given up after ' || new.attempts || ' attempts; the workers'' log has the cause.'
        end,
        error_code = case when new.last_result ->> 'Err' = 'The worker died.' then 'worker_died' else 'gave_up' end,
        finished_at = now()
    where id = (convert_from(new.job, 'UTF8')::jsonb ->> 'document_id')::bigint
        and status in ('pending', 'processing');
    return null;
end $$;

-- Gives the jobs of dead processes back: of those whose lock has been gone for `grace`, and of those that hold it but have said nothing
-- for `silence` (the machine is gone, or the process is stopped). One at a time does this; the others return at once.
create function reap_workers(grace interval, silence interval) returns setof integer language plpgsql as $$
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
    where status in ('Running', 'Queued') and worker_process_of(lock_by) = any (dead);
    return query select unnest(dead);
end $$;

-- For psql.

create view queue_health as
select job_type as queue,
    count(*) filter (where status = 'Pending' and run_at <= now()) as ready,
    count(*) filter (where status in ('Pending', 'Failed') and attempts < max_attempts and run_at > now()) as scheduled,
    count(*) filter (where status in ('Queued', 'Running')) as running,
    count(*) filter (where status = 'Killed' or (status = 'Failed' and attempts >= max_attempts)) as dead,
    count(*) filter (where status = 'Done') as done,
    max(now() - run_at) filter (where status = 'Pending' and run_at <= now()) as oldest_wait
from apalis.jobs
group by job_type;

create view queue_workers as
select w.id, w.host, w.pid, w.model, w.started_at,
    case
        when w.ended_at is not null then w.end_reason
        when w.suspected_at is not null then 'suspected'
        else 'alive'
    end as state,
    now() - w.seen_at as silent_for,
    (select count(*) from apalis.jobs j where j.status in ('Queued', 'Running') and worker_process_of(j.lock_by) = w.id) as jobs,
    w.ended_at
from worker_processes w;

create view document_progress as
select d.id, d.title, d.status, d.pages_done || '/' || coalesce(d.page_count::text, '?') as pages,
    now() - d.started_at as running_for,
    case when d.status = 'processing' and d.pages_done > 0 and d.page_count > 0
        then (now() - d.started_at) * ((d.page_count - d.pages_done)::float8 / d.pages_done) end as expected,
    (select count(*) from job_attempts a where a.document_id = d.id) as attempts,
    (select j.lock_by from apalis.jobs j
     where j.idempotency_key = document_job_key(d) and j.status = 'Running' limit 1) as worker,
    d.error
from documents d;
