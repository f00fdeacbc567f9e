-- What ties documents to apalis' queue. apalis keeps its own schema; `app migrate` creates that first.

-- A document and its job are one transaction, whoever inserts it.
create function enqueue_document() returns trigger language plpgsql as $$
begin
    insert into apalis.jobs (id, job_type, job, max_attempts, idempotency_key)
    values (
        apalis.generate_ulid(),
        'documents',
        convert_to(jsonb_build_object('document_id', new.id)::text, 'UTF8'),
        5,
        'document:' || new.id
    );
    return null;
end $$;

create trigger documents_enqueue after insert on documents
for each row when (new.status = 'pending') execute function enqueue_document();

-- apalis 1.0 retries at once, forgets max_attempts when a worker dies, and counts a hand-back at shutdown as an attempt.
create function guard_job() returns trigger language plpgsql as $$
begin
    if new.last_result ->> 'Err' like 'DeferredError%' or new.last_result ->> 'Err' = 'Re-enqueued due to worker shutdown' then
        new.attempts := old.attempts;
        new.status := 'Pending';
        new.run_at := least(new.run_at, now());
        new.lock_by := null;
    elsif new.attempts >= new.max_attempts then
        new.status := 'Failed';
        new.done_at := coalesce(new.done_at, now());
    else
        new.run_at := now() + least(interval '1 hour', interval '1 second' * power(new.attempts, 4)) * (0.9 + random() * 0.2);
        new.lock_by := null;
    end if;
    return new;
end $$;

create trigger docreader_guard_job before update of status on apalis.jobs
for each row when (new.status in ('Pending', 'Failed') and old.status in ('Queued', 'Running'))
execute function guard_job();

-- A job that is handed back is announced like a new one; apalis announces inserts only.
create function announce_job() returns trigger language plpgsql as $$
begin
    perform pg_notify(
        'apalis::job::insert',
        json_build_object('job_type', new.job_type, 'id', new.id, 'run_at', new.run_at)::text
    );
    return null;
end $$;

create trigger docreader_announce_job after update of status on apalis.jobs
for each row when (new.status = 'Pending' and old.status <> 'Pending' and new.run_at <= now())
execute function announce_job();

-- A document whose job died for good says so, even when the worker could not.
create function fail_document_of_dead_job() returns trigger language plpgsql as $$
begin
    update documents
    set status = 'failed',
        error = 'Processing was given up after ' || new.attempts || ' attempts; the workers'' log has the cause.',
        finished_at = now()
    where id = (convert_from(new.job, 'UTF8')::jsonb ->> 'document_id')::bigint
        and status in ('pending', 'processing');
    return null;
end $$;

create trigger docreader_fail_document after update of status on apalis.jobs
for each row when (
    new.job_type = 'documents' and new.status in ('Failed', 'Killed') and new.attempts >= new.max_attempts
)
execute function fail_document_of_dead_job();

-- apalis looks for orphaned jobs at every heartbeat; without this it reads the whole table.
create index if not exists docreader_live_jobs_idx on apalis.jobs (lock_by) where status in ('Running', 'Queued');
