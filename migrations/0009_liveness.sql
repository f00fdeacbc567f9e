-- After an outage, jobs find their way back to the queue by themselves, and no attempt is counted that was none.

alter table worker_processes
    -- names of the apalis workers that the process has now: a job of another one with its id is nobody's. Null until the process says so
    add column workers text[],
    drop constraint worker_processes_end_reason_check,
    -- replaced: it came back while the lock of its lost connection could not be had, and goes on under another id
    add constraint worker_processes_end_reason_check check (end_reason in ('stopped', 'died', 'silent', 'replaced'));

-- The reapers' last look, and the last time that nobody had looked for long, as when the database was away.
create table reaper_looks (
    one boolean primary key default true check (one),
    looked_at timestamptz not null default now(),
    gap_from timestamptz not null default '-infinity',
    gap_until timestamptz not null default '-infinity'
);
insert into reaper_looks default values;

-- What the worker lost, as in an outage, costs no attempt. What is given back keeps its place at the head of the queue.
create or replace function guard_job() returns trigger language plpgsql as $$
declare
    message text := new.last_result ->> 'Err';
    delay interval := least(interval '1 hour', interval '1 second' * power(new.attempts, 4)) * (0.9 + random() * 0.2);
begin
    if message like 'DeferredError%' or message in ('Re-enqueued due to worker shutdown', 'The worker lost it.') then
        new.attempts := old.attempts;
        new.status := 'Pending';
        new.run_at := least(new.run_at, now());
        new.lock_by := null;
    elsif new.attempts >= new.max_attempts then
        new.status := 'Failed';
        new.done_at := coalesce(new.done_at, now());
    elsif message = 'The worker died.' and new.attempts <= 1 then
        new.run_at := least(old.run_at, now());
        new.lock_by := null;
    else
        new.run_at := now() + delay;
        new.lock_by := null;
    end if;
    return new;
end $$;

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
            when message like 'DeferredError%' or message in ('Re-enqueued due to worker shutdown', 'The worker lost it.')
                then 'handed back'
            when new.status = 'Killed' or new.attempts >= new.max_attempts then 'gave up'
            else 'failed'
        end,
        message);
    return null;
end $$;

-- Takes a job from a worker that is not at it any more. Where somebody holds its rows, a lost connection of that worker most likely, it is left
-- for the next look.
create function take_job(job_id text, holder text, died boolean) returns void language plpgsql set lock_timeout = '200ms' as $$
begin
    update apalis.jobs
    set status = 'Pending', done_at = null, lock_by = null, lock_at = null,
        attempts = attempts + case when died and status = 'Running' then 1 else 0 end,
        last_result = case when died then '{"Err": "The worker died."}' else '{"Err": "The worker lost it."}' end::jsonb
    where id = job_id and lock_by = holder and status in ('Running', 'Queued');
exception when lock_not_available then
    null;
end $$;

-- A worker process says that it lives, and which apalis workers it has; jobs of others of its name go back to the queue. False if it has
-- been given up.
create function say_word(process integer, has text[]) returns boolean language plpgsql set lock_timeout = '2s' as $$
begin
    update worker_processes set seen_at = now(), workers = has where id = process and ended_at is null;
    if not found then
        return false;
    end if;
    perform take_job(id, lock_by, false) from apalis.jobs
    where lock_by is not null and status in ('Running', 'Queued') and worker_process_of(lock_by) = process and lock_by <> all (has);
    return true;
end $$;

-- Gives jobs back that nobody is at: those of dead processes, whose lock has been gone for `grace`, or that hold it but have said nothing for
-- `silence` (the machine is gone, or the process is stopped); and those of processes that have ended, or say that they are not at it. One at
-- a time does this, and waits for no lock; the others return at once. Nobody could say a word while nobody could look, so that processes from
-- before a gap have some seconds to come back.
create or replace function reap_workers(grace interval, silence interval) returns setof integer language plpgsql
set lock_timeout = '2s' as $$
declare
    looks reaper_looks;
    dead integer[];
begin
    if not pg_try_advisory_xact_lock(1685283428, 0) then
        return;
    end if;
    update reaper_looks
    set looked_at = now(),
        gap_from = case when looked_at < now() - interval '5 s' then looked_at else gap_from end,
        gap_until = case when looked_at < now() - interval '5 s' then now() else gap_until end
    returning * into looks;
    with locks as (
        select l.objid::bigint as id from pg_locks l
        where l.locktype = 'advisory' and l.classid = 1685283428 and l.objsubid = 2 and l.granted
            and l.database = (select oid from pg_database where datname = current_database())
    )
    update worker_processes w
    set suspected_at = case when not exists (select 1 from locks where locks.id = w.id) then coalesce(suspected_at, now()) end
    where w.id in (
        select p.id from worker_processes p
        where p.ended_at is null and (p.suspected_at is null) = (not exists (select 1 from locks where locks.id = p.id))
        for update skip locked
    );
    with ended as (
        update worker_processes
        set ended_at = now(), end_reason = case when suspected_at is null then 'silent' else 'died' end
        where id in (
            select w.id from worker_processes w
            where w.ended_at is null
                and (w.suspected_at <= now() - grace
                    or greatest(w.seen_at, case when w.started_at < looks.gap_from then looks.gap_until end) < now() - silence)
                and (w.started_at > looks.gap_from or looks.gap_until < now() - interval '10 s')
            for update skip locked
        )
        returning id
    )
    select array_agg(id) into dead from ended;
    perform take_job(j.id, j.lock_by, coalesce(w.end_reason in ('died', 'silent'), w.id is null))
    from apalis.jobs j left join worker_processes w on w.id = worker_process_of(j.lock_by)
    where j.lock_by is not null and j.status in ('Running', 'Queued') and worker_process_of(j.lock_by) is not null
        and (w.id is null or w.ended_at is not null or j.lock_by <> all (w.workers));
    return query select unnest(dead);
end $$;

-- Jobs that have a worker by name, and that none is at.
create view lost_jobs as
select j.id, j.job_type as queue, j.lock_by, j.lock_at
from apalis.jobs j left join worker_processes w on w.id = worker_process_of(j.lock_by)
where j.lock_by is not null and j.status in ('Running', 'Queued')
    and (w.id is null or w.ended_at is not null or j.lock_by <> all (w.workers));

-- Whoever removes the objects has the row for some minutes, instead of a transaction that waits for S3.
alter table garbage add column taken_until timestamptz not null default '-infinity';
