-- What changes of documents and webhooks do to the queue, whoever makes them: each is one transaction with its jobs.

create or replace function document_job_key(document documents) returns text language sql immutable as $$
    select 'document:' || document.id || case when document.run > 1 then ':' || document.run else '' end
$$;

-- Queue 'documents' is for every worker, 'documents:NAME' for those with that model.
create or replace function enqueue_document() returns trigger language plpgsql as $$
declare
    queue text := 'documents' || coalesce(':' || new.wanted_model, '');
begin
    insert into apalis.jobs (id, job_type, job, max_attempts, priority, idempotency_key)
    values (
        apalis.generate_ulid(),
        queue,
        convert_to(jsonb_build_object('document_id', new.id)::text, 'UTF8'),
        max_attempts(queue),
        new.priority,
        document_job_key(new)
    );
    return null;
end $$;

create or replace trigger documents_enqueue after insert on documents
for each row when (new.status = 'pending') execute function enqueue_document();

create or replace trigger documents_enqueue_again after update of status on documents
for each row when (new.status = 'pending' and old.status in ('done', 'failed', 'canceled'))
execute function enqueue_document();

-- The first job of a document counts the pages and queues chunk 0 if they are many; each chunk queues the next one when it
-- begins, so that one of them waits for a free worker, behind whatever else came meanwhile.
create or replace function enqueue_chunk(document documents, model text, number integer) returns void language sql as $$
    insert into apalis.jobs (id, job_type, job, max_attempts, priority, idempotency_key)
    values (
        apalis.generate_ulid(),
        'documents:' || model,
        convert_to(jsonb_build_object(
            'document_id', document.id,
            'chunk', jsonb_build_object('generation', document.generation, 'number', number)
        )::text, 'UTF8'),
        max_attempts('documents:' || model),
        document.priority,
        document_job_key(document) || '#' || document.generation || '.' || number
    )
    on conflict (job_type, idempotency_key) do nothing
$$;

-- What has ended takes its waiting jobs out of the queue; workers that are at it stop when they record the next page.
create or replace function cancel_document() returns trigger language plpgsql as $$
begin
    delete from apalis.jobs j
    where j.job_type like 'documents%' and job_document(j.job) = old.id
        and job_is_live(j) and j.status not in ('Queued', 'Running');
    new.finished_at := coalesce(new.finished_at, now());
    return new;
end $$;

create or replace trigger documents_cancel before update of status on documents
for each row when (new.status in ('canceled', 'failed') and old.status in ('pending', 'processing'))
execute function cancel_document();

-- For a document that is about to be deleted: its jobs go, but those that a worker has.
create or replace function forget_jobs(document bigint) returns void language sql as $$
    delete from apalis.jobs j
    where j.job_type like 'documents%' and job_document(j.job) = document and j.status not in ('Queued', 'Running')
$$;

-- Whether a worker has a job; if so, nobody takes it away before this transaction ends.
create or replace function worker_has_job(job_id text, worker text) returns boolean language plpgsql as $$
begin
    perform 1 from apalis.jobs where id = job_id and lock_by = worker and status = 'Running' for share;
    return found;
end $$;

create or replace function enqueue_webhook() returns trigger language plpgsql as $$
begin
    insert into apalis.jobs (id, job_type, job, max_attempts)
    values (
        apalis.generate_ulid(), 'webhooks', convert_to(jsonb_build_object('delivery_id', new.id)::text, 'UTF8'),
        max_attempts('webhooks')
    );
    return null;
end $$;

create or replace trigger webhook_deliveries_enqueue after insert on webhook_deliveries
for each row execute function enqueue_webhook();

create or replace trigger webhook_deliveries_enqueue_again after update of status on webhook_deliveries
for each row when (new.status = 'pending' and old.status = 'failed')
execute function enqueue_webhook();
