-- What lists, counts and prunes jobs.

-- Ids of jobs in the order of lists: what runs, what is next, what ended last. Each way has an index; one statement for all would have
-- none. 'runs' looks at what workers have, not through all that waits: who has a job is in docreader_held_jobs_idx.
create or replace function listed_jobs(which text, document bigint, most bigint) returns setof text language plpgsql stable as $$
begin
    if document is not null then
        return query select j.id from apalis.jobs j
            where j.job_type like 'documents%' and job_document(j.job) = document
            order by j.status in ('Running', 'Queued') desc, j.run_at desc limit most;
    elsif which = 'runs' then
        return query select j.id from apalis.jobs j
            where j.lock_by is not null and j.status in ('Running', 'Queued') order by j.priority desc, j.run_at limit most;
    elsif which = 'live' then
        return query
            select r.id from listed_jobs('runs', null, most) r (id)
            union all
            (select j.id from apalis.jobs j
            where job_is_live(j) and j.status not in ('Running', 'Queued') order by j.priority desc, j.run_at limit most);
    elsif which = 'dead' then
        return query select j.id from apalis.jobs j where job_is_dead(j) order by j.run_at desc limit most;
    elsif which = 'done' then
        return query select j.id from apalis.jobs j where j.status = 'Done' order by j.run_at desc limit most;
    else
        return query
            select l.id from listed_jobs('live', null, most) l (id)
            union all select d.id from listed_jobs('dead', null, most) d (id)
            union all select d.id from listed_jobs('done', null, most) d (id);
    end if;
end $$;

-- The place of a waiting document among the jobs that are due, from 1; null if its job does not wait.
create or replace function queue_position(document bigint) returns bigint language plpgsql stable as $$
declare
    own record;
    before bigint;
begin
    select j.job_type, j.priority, j.run_at into own from apalis.jobs j
    where j.job_type like 'documents%' and job_document(j.job) = document and j.status = 'Pending'
    order by j.priority desc, j.run_at limit 1;
    if not found then
        return null;
    end if;
    select count(*) into before from apalis.jobs j
    where job_is_live(j) and j.status = 'Pending'
        and j.job_type = own.job_type and j.priority = own.priority and j.run_at < own.run_at;
    return before + 1 + (
        select count(*) from apalis.jobs j
        where job_is_live(j) and j.status = 'Pending' and j.job_type = own.job_type and j.priority > own.priority
    );
end $$;

-- Jobs that wait take the priority; those that run keep theirs until they wait again.
create or replace function prioritize_jobs(document bigint, new_priority integer) returns void language plpgsql as $$
begin
    update apalis.jobs j set priority = new_priority
    where j.job_type like 'documents%' and job_document(j.job) = document and job_is_live(j) and j.status not in ('Running', 'Queued');
end $$;

-- Removes jobs that ended long ago, attempts at them and workers of that time, and what readers need no longer: events but the last of
-- documents, and keys that have become documents. A batch of each, and how many jobs that were: the caller comes again until it is less
-- than the batch. One at a time does this.
create or replace function prune_jobs(done_for interval, dead_for interval, batch integer) returns integer language plpgsql as $$
declare
    removed integer;
begin
    if not pg_try_advisory_xact_lock(docreader_lock_class(), -1) then
        return 0;
    end if;
    with old as (
        select j.id from apalis.jobs j
        where j.done_at < now() - least(done_for, dead_for)
            and ((j.status = 'Done' and j.done_at < now() - done_for) or (job_is_dead(j) and j.done_at < now() - dead_for))
        order by j.done_at
        limit batch
        for update skip locked
    ), gone as (
        delete from apalis.jobs j using old where j.id = old.id returning j.id
    )
    select count(*) into removed from gone;
    delete from job_attempts where id in (
        select id from job_attempts where ended_at < now() - greatest(done_for, dead_for) limit batch
    );
    delete from document_events where id in (
        select id from document_events
        where kind in ('queued', 'started', 'page') and created_at < now() - done_for limit batch
    );
    delete from uploads where object_key in (
        select object_key from uploads where document_id is not null and started_at < now() - interval '1 day' limit batch
    );
    if removed < batch then
        delete from worker_processes w
        where ended_at < now() - greatest(done_for, dead_for)
            and not exists (select 1 from apalis.jobs j where j.lock_by is not null and worker_process_of(j.lock_by) = w.id);
        delete from apalis.workers w
        where last_seen < now() - interval '1 day' and not exists (select 1 from apalis.jobs j where j.lock_by = w.id);
    end if;
    return removed;
end $$;
