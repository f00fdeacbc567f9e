-- Lists and the queue at a million documents.

create extension if not exists pg_trgm;

-- Lists by date, and by a part of the title.
create index documents_created_at_idx on documents (created_at, id);
create index documents_status_created_at_idx on documents (status, created_at, id);
create index documents_title_idx on documents using gin (title gin_trgm_ops);

-- What the planner cannot know by itself: each document has few jobs.
create statistics apalis.docreader_job_document_stats on (job_document(job)) from apalis.jobs;

-- Jobs that are not over, of which there are few, in the order in which they are taken.
create index docreader_live_jobs_idx on apalis.jobs (priority desc, run_at) include (job_type, status)
where status in ('Pending', 'Queued', 'Running') or (status = 'Failed' and attempts < max_attempts);
-- Those that are, last first.
create index docreader_dead_jobs_idx on apalis.jobs (run_at) where status = 'Killed' or (status = 'Failed' and attempts >= max_attempts);
create index docreader_done_jobs_idx on apalis.jobs (run_at) where status = 'Done';
-- apalis has lock_by twice over all jobs there ever were; ours is over those that somebody has.
drop index if exists apalis.lidx;
drop index if exists apalis.idx_apalis_jobs_lock_by;

-- Dead jobs forget their worker, too: who did them is in job_attempts.
drop trigger docreader_forget_worker on apalis.jobs;
create trigger docreader_forget_worker before update of status on apalis.jobs
for each row when (
    old.status = 'Running' and (new.job_type like 'documents%' or new.job_type = 'webhooks')
    and (new.status in ('Done', 'Killed') or (new.status = 'Failed' and new.attempts >= new.max_attempts))
)
execute function forget_worker();

-- Whether there is any token that is not revoked.
create index api_tokens_live_idx on api_tokens (id) where revoked_at is null;

-- What is pruned.
create index document_events_passing_idx on document_events (created_at) where kind in ('queued', 'started', 'page');
create index uploads_done_idx on uploads (started_at) where document_id is not null;

-- Ids of jobs in the order of lists: what runs, what is next, what ended last. Each way has an index; one statement for all would have none.
create function listed_jobs(which text, document bigint, most bigint) returns setof text language plpgsql stable as $$
begin
    if document is not null then
        return query select j.id from apalis.jobs j
            where j.job_type like 'documents%' and job_document(j.job) = document
            order by j.status in ('Running', 'Queued') desc, j.run_at desc limit most;
    elsif which = 'runs' then
        return query select j.id from apalis.jobs j
            where (j.status in ('Pending', 'Queued', 'Running') or (j.status = 'Failed' and j.attempts < j.max_attempts))
                and j.status in ('Running', 'Queued') order by j.priority desc, j.run_at limit most;
    elsif which = 'live' then
        return query
            select r.id from listed_jobs('runs', null, most) r (id)
            union all
            (select j.id from apalis.jobs j
            where (j.status in ('Pending', 'Queued', 'Running') or (j.status = 'Failed' and j.attempts < j.max_attempts))
                and j.status not in ('Running', 'Queued') order by j.priority desc, j.run_at limit most);
    elsif which = 'dead' then
        return query select j.id from apalis.jobs j
            where j.status = 'Killed' or (j.status = 'Failed' and j.attempts >= j.max_attempts) order by j.run_at desc limit most;
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
create function queue_position(document bigint) returns bigint language plpgsql stable as $$
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
    where (j.status in ('Pending', 'Queued', 'Running') or (j.status = 'Failed' and j.attempts < j.max_attempts))
        and j.job_type = own.job_type and j.status = 'Pending' and j.priority = own.priority and j.run_at < own.run_at;
    return before + 1 + (
        select count(*) from apalis.jobs j
        where (j.status in ('Pending', 'Queued', 'Running') or (j.status = 'Failed' and j.attempts < j.max_attempts))
            and j.job_type = own.job_type and j.status = 'Pending' and j.priority > own.priority
    );
end $$;

-- The same for what readers need no longer: events but the last of documents, and keys that have become documents.
create or replace function prune_jobs(done_for interval, dead_for interval, batch integer) returns integer language plpgsql as $$
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

analyze apalis.jobs;
