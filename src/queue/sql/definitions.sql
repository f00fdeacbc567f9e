-- Words that everything else here is written in. The functions in SQL are inlined, so that the planner finds the indexes
-- behind them (tests/faults/remedies.rs).

-- How often a job is begun that ends badly, before it is given up. A job of a document is in queue 'documents', or in
-- 'documents:MODEL'.
create or replace function max_attempts(queue text) returns integer language sql immutable as $$
    select case split_part(queue, ':', 1) when 'documents' then 5 when 'webhooks' then 8 end
$$;

-- The class of our advisory locks. The second number is a worker process's id, 0 for whoever looks for dead workers, -1 for
-- whoever prunes.
create or replace function docreader_lock_class() returns integer language sql immutable as $$
    select 1685283428
$$;

-- It waits, or runs. Index docreader_live_jobs_idx has the same condition, to the letter.
create or replace function job_is_live(job apalis.jobs) returns boolean language sql immutable as $$
    select job.status in ('Pending', 'Queued', 'Running') or (job.status = 'Failed' and job.attempts < job.max_attempts)
$$;

-- It has ended badly, and there will be no other attempt. Index docreader_dead_jobs_idx has the same condition.
create or replace function job_is_dead(job apalis.jobs) returns boolean language sql immutable as $$
    select job.status = 'Killed' or (job.status = 'Failed' and job.attempts >= job.max_attempts)
$$;

-- Index docreader_document_jobs_idx is over this: whoever changes what it returns builds that anew.
create or replace function job_document(job bytea) returns bigint language sql immutable as $$
    select (convert_from(job, 'UTF8')::jsonb ->> 'document_id')::bigint
$$;

-- The id of the process that an apalis worker of this name is in.
create or replace function worker_process_of(worker text) returns integer language sql immutable as $$
    select case when worker ~ '^[0-9]{1,9}:' then split_part(worker, ':', 1)::integer end
$$;

-- How the last attempt at a job ended, by what is written of it: by apalis, by a worker through apalis, or by `take_job`.
create or replace function outcome_of_attempt(job apalis.jobs) returns attempt_outcome language plpgsql immutable as $$
declare
    message text := job.last_result ->> 'Err';
begin
    return case
        when job.status = 'Done' then 'done'
        when message = 'The worker died.' then 'worker died'
        when message like 'DeferredError%' or message in ('Re-enqueued due to worker shutdown', 'The worker lost it.')
            then 'handed back'
        when job.status = 'Killed' or job.attempts >= job.max_attempts then 'gave up'
        else 'failed'
    end;
end $$;
