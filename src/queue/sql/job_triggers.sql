-- What apalis 1.0 leaves to be desired, as triggers on its table. docs/QUEUE.md has them in the order in which they fire, which is
-- that of their names: those before a change, then those after it.

-- A row that apalis cannot read ends the worker that takes it, and the next one.
create or replace function check_job() returns trigger language plpgsql as $$
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

create or replace trigger docreader_check_job before insert or update of id, job, job_type, metadata on apalis.jobs
for each row when (new.job_type like 'documents%' or new.job_type = 'webhooks')
execute function check_job();

-- apalis finds the jobs that a worker reports by lock_by among all that it ever did. Who did one that has ended is in job_attempts.
create or replace function forget_worker() returns trigger language plpgsql as $$
begin
    new.lock_by := null;
    return new;
end $$;

create or replace trigger docreader_forget_worker before update of status on apalis.jobs
for each row when (
    old.status = 'Running' and (new.job_type like 'documents%' or new.job_type = 'webhooks')
    and (new.status = 'Done' or job_is_dead(new))
)
execute function forget_worker();

-- apalis 1.0 retries at once, forgets max_attempts when a worker dies, and counts a hand-back at shutdown as an attempt. What the
-- worker lost, as in an outage, costs no attempt either. What is given back keeps its place at the head of the queue, also after the
-- first death of a worker, which may be an accident; after that it may be the job's fault.
create or replace function guard_job() returns trigger language plpgsql as $$
declare
    outcome attempt_outcome := outcome_of_attempt(new);
    delay interval := least(interval '1 hour', interval '1 second' * power(new.attempts, 4)) * (0.9 + random() * 0.2);
begin
    if outcome = 'handed back' then
        new.attempts := old.attempts;
        new.status := 'Pending';
        new.run_at := least(new.run_at, now());
        new.lock_by := null;
    elsif new.attempts >= new.max_attempts then
        new.status := 'Failed';
        new.done_at := coalesce(new.done_at, now());
    elsif outcome = 'worker died' and new.attempts <= 1 then
        new.run_at := least(old.run_at, now());
        new.lock_by := null;
    else
        new.run_at := now() + delay;
        new.lock_by := null;
    end if;
    return new;
end $$;

create or replace trigger docreader_guard_job before update of status on apalis.jobs
for each row when (new.status in ('Pending', 'Failed') and old.status in ('Queued', 'Running'))
execute function guard_job();

-- A worker that takes a job of a paused queue gets none; what runs, runs on.
create or replace function hold_paused_job() returns trigger language plpgsql as $$
begin
    if exists (select 1 from paused_queues where queue = split_part(new.job_type, ':', 1)) then
        return null;
    end if;
    return new;
end $$;

create or replace trigger docreader_hold_paused before update of status on apalis.jobs
for each row when (new.status = 'Queued' and old.status <> 'Queued')
execute function hold_paused_job();

-- A job that is handed back is announced like a new one; apalis announces inserts only.
create or replace function announce_job() returns trigger language plpgsql as $$
begin
    perform pg_notify(
        'apalis::job::insert',
        json_build_object('job_type', new.job_type, 'id', new.id, 'run_at', new.run_at)::text
    );
    return null;
end $$;

create or replace trigger docreader_announce_job after update of status on apalis.jobs
for each row when (new.status = 'Pending' and old.status <> 'Pending' and new.run_at <= now())
execute function announce_job();

-- A document whose job died for good says so, even when the worker could not.
create or replace function fail_document_of_dead_job() returns trigger language plpgsql as $$
declare
    worker_died boolean := outcome_of_attempt(new) = 'worker died';
begin
    update documents
    set status = 'failed',
        error = case
            when worker_died
            then 'The worker died ' || new.attempts || ' times while it was at this document; the file may be malicious or need too much memory.'
            else 'Processing was given up after ' || new.attempts || ' attempts; the workers'' log has the cause.'
        end,
        error_code = case when worker_died then 'worker_died' else 'gave_up' end,
        finished_at = now()
    where id = job_document(new.job) and status in ('pending', 'processing');
    return null;
end $$;

create or replace trigger docreader_fail_document after update of status on apalis.jobs
for each row when (
    new.job_type like 'documents%' and new.status in ('Failed', 'Killed') and new.attempts >= new.max_attempts
)
execute function fail_document_of_dead_job();

-- A message whose job died for good says so, even when the worker could not.
create or replace function fail_webhook_of_dead_job() returns trigger language plpgsql as $$
begin
    update webhook_deliveries
    set status = 'failed', error = coalesce(error, 'Given up after ' || new.attempts || ' attempts.')
    where id = (convert_from(new.job, 'UTF8')::jsonb ->> 'delivery_id')::bigint and status = 'pending';
    return null;
end $$;

create or replace trigger docreader_fail_webhook after update of status on apalis.jobs
for each row when (new.job_type = 'webhooks' and new.status in ('Failed', 'Killed') and new.attempts >= new.max_attempts)
execute function fail_webhook_of_dead_job();

-- One row for each time that a worker had a job, written when it no longer has it.
create or replace function record_job_attempt() returns trigger language plpgsql as $$
declare
    args jsonb := convert_from(new.job, 'UTF8')::jsonb;
    document bigint := (args ->> 'document_id')::bigint;
begin
    if document is not null and not exists (select 1 from documents where id = document for key share) then
        return null;
    end if;
    insert into job_attempts (job_id, queue, document_id, chunk, worker, started_at, outcome, error)
    values (new.id, new.job_type, document, (args -> 'chunk' ->> 'number')::integer, old.lock_by, old.lock_at,
        outcome_of_attempt(new), new.last_result ->> 'Err');
    return null;
end $$;

create or replace trigger docreader_record_attempt after update of status on apalis.jobs
for each row when (
    old.status = 'Running' and new.status <> 'Running' and (new.job_type like 'documents%' or new.job_type = 'webhooks')
)
execute function record_job_attempt();
