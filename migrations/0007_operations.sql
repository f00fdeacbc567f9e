-- Pausing queues, and keeping them small.

-- 'documents' stands for the queues of all models.
create table paused_queues (
    queue text primary key check (queue in ('documents', 'webhooks')),
    since timestamptz not null default now()
);

-- A worker that takes a job of a paused queue gets none; what runs, runs on.
create function hold_paused_job() returns trigger language plpgsql as $$
begin
    if exists (select 1 from paused_queues where queue = split_part(new.job_type, ':', 1)) then
        return null;
    end if;
    return new;
end $$;

create trigger docreader_hold_paused before update of status on apalis.jobs
for each row when (new.status = 'Queued' and old.status <> 'Queued')
execute function hold_paused_job();

create index docreader_ended_jobs_idx on apalis.jobs (done_at) where status in ('Done', 'Killed', 'Failed');

-- Removes jobs that ended long ago, attempts at them and workers of that time: a batch, and how many jobs that were. The caller comes again
-- until it is less than the batch; one at a time does this.
create function prune_jobs(done_for interval, dead_for interval, batch integer) returns integer language plpgsql as $$
declare
    removed integer;
begin
    if not pg_try_advisory_xact_lock(1685283428, -1) then
        return 0;
    end if;
    with old as (
        select id from apalis.jobs
        where done_at < now() - least(done_for, dead_for)
            and ((status = 'Done' and done_at < now() - done_for)
                or ((status = 'Killed' or (status = 'Failed' and attempts >= max_attempts)) and done_at < now() - dead_for))
        order by done_at
        limit batch
        for update skip locked
    ), gone as (
        delete from apalis.jobs j using old where j.id = old.id returning j.id
    )
    select count(*) into removed from gone;
    delete from job_attempts where id in (
        select id from job_attempts where ended_at < now() - greatest(done_for, dead_for) limit batch
    );
    if removed < batch then
        delete from worker_processes where ended_at < now() - greatest(done_for, dead_for);
        delete from apalis.workers w
        where last_seen < now() - interval '1 day' and not exists (select 1 from apalis.jobs j where j.lock_by = w.id);
    end if;
    return removed;
end $$;

create view queue_jobs as
select j.id, j.job_type as queue, convert_from(j.job, 'UTF8')::jsonb as args, j.status, j.attempts, j.max_attempts, j.priority,
    case
        when j.status in ('Queued', 'Running') then 'runs'
        when j.status = 'Done' then 'done'
        when j.status = 'Killed' or (j.status = 'Failed' and j.attempts >= j.max_attempts) then 'dead'
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
