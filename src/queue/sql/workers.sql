-- Who works, and what becomes of the jobs of those that do no more.

-- Takes a job from a worker that is not at it any more. Where somebody holds its rows, a lost connection of that worker most likely, it is left
-- for the next look.
create or replace function take_job(job_id text, holder text, died boolean) returns void language plpgsql set lock_timeout = '200ms' as $$
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
-- been given up. Its memory is for people; workers of an earlier version do not tell it.
drop function if exists say_word(integer, text[]);
create or replace function say_word(process integer, has text[], memory integer default null) returns boolean language plpgsql set lock_timeout = '2s' as $$
begin
    update worker_processes set seen_at = now(), workers = has, memory_mb = coalesce(memory, memory_mb) where id = process and ended_at is null;
    if not found then
        return false;
    end if;
    perform take_job(id, lock_by, false) from apalis.jobs
    where lock_by is not null and status in ('Running', 'Queued') and worker_process_of(lock_by) = process and lock_by <> all (has);
    return true;
end $$;

-- Gives jobs back that nobody is at: those of dead processes, whose lock has been gone for `grace`, or that hold it but have said nothing for
-- `silence` (the machine is gone, or the process is stopped); and those of processes that have ended, or say that they are not at it. One at
-- a time does this, and waits for no lock; the others return at once. Nobody could say a word while nobody could look, as when the database was
-- away: after such a gap silence begins anew, and whose lock is gone at its end, or was before, has 10 s to come back. A server that has been
-- started anew is such a gap, too, however short: all locks are gone, and who was connected to another machine notices only after seconds.
create or replace function reap_workers(grace interval, silence interval) returns setof integer language plpgsql
set lock_timeout = '2s' as $$
declare
    looks reaper_looks;
    dead integer[];
begin
    if not pg_try_advisory_xact_lock(docreader_lock_class(), 0) then
        return;
    end if;
    update reaper_looks l
    set looked_at = now(),
        gap_from = case when gap then l.looked_at else l.gap_from end,
        gap_until = case when gap then now() else l.gap_until end,
        server_started_at = pg_postmaster_start_time()
    from (
        select looked_at < now() - interval '5 s' or server_started_at <> pg_postmaster_start_time() is true as gap from reaper_looks
    ) g
    returning l.* into looks;
    with locks as (
        select l.objid::bigint as id from pg_locks l
        where l.locktype = 'advisory' and l.classid = docreader_lock_class()::oid and l.objsubid = 2 and l.granted
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
                and (w.suspected_at <= now() - grace and (w.suspected_at > looks.gap_until or looks.gap_until < now() - interval '10 s')
                    or greatest(w.seen_at, looks.gap_until) < now() - silence)
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
