-- Files that the worker fetches, uploads that go straight to the bucket, models that a document asks for, and webhooks.

alter table documents
    -- where the worker gets the file from, before it is in the bucket
    add column source_url text check (source_url ~ '^https?://' and octet_length(source_url) <= 2048),
    -- is told when the document is done, failed or canceled
    add column callback_url text check (callback_url ~ '^https?://' and octet_length(callback_url) <= 2048),
    -- name of the model; null for whichever worker is free
    add column wanted_model text check (wanted_model <> ''),
    -- last; null for documents older than this column
    add column queued_at timestamptz;
alter table documents alter column queued_at set default now();

create or replace function renew_document() returns trigger language plpgsql as $$
begin
    new.run := old.run + 1;
    new.error := null;
    new.error_code := null;
    new.queued_at := now();
    new.started_at := null;
    new.finished_at := null;
    return new;
end $$;

-- An upload that is no document by then is swept away.
alter table uploads
    add column id uuid not null unique default gen_random_uuid(),
    add column expires_at timestamptz not null default now() + interval '1 day';
create index uploads_expires_at_idx on uploads (expires_at) where document_id is null;

-- Queue 'documents' is for every worker, 'documents:NAME' for those with that model.
create or replace function enqueue_document() returns trigger language plpgsql as $$
begin
    insert into apalis.jobs (id, job_type, job, max_attempts, priority, idempotency_key)
    values (
        apalis.generate_ulid(),
        'documents' || coalesce(':' || new.wanted_model, ''),
        convert_to(jsonb_build_object('document_id', new.id)::text, 'UTF8'),
        5,
        new.priority,
        document_job_key(new)
    );
    return null;
end $$;

create or replace function cancel_document() returns trigger language plpgsql as $$
begin
    delete from apalis.jobs
    where job_type like 'documents%' and idempotency_key = document_job_key(old) and status in ('Pending', 'Failed');
    new.finished_at := now();
    return new;
end $$;

drop trigger docreader_fail_document on apalis.jobs;
create trigger docreader_fail_document after update of status on apalis.jobs
for each row when (
    new.job_type like 'documents%' and new.status in ('Failed', 'Killed') and new.attempts >= new.max_attempts
)
execute function fail_document_of_dead_job();

-- One row a message; its job in queue 'webhooks' is written with it. Setting a failed one back to 'pending' sends it again.
create table webhook_deliveries (
    id bigint generated always as identity primary key,
    document_id bigint not null references documents (id) on delete cascade,
    url text not null,
    -- what is sent, to the byte: the signature is over it
    body text not null,
    status text not null default 'pending' check (status in ('pending', 'delivered', 'failed')),
    attempts integer not null default 0,
    -- of the last attempt
    response_status integer,
    error text,
    attempted_at timestamptz,
    created_at timestamptz not null default now(),
    check (status <> 'failed' or error is not null)
);
create index webhook_deliveries_document_id_idx on webhook_deliveries (document_id, id);

create function announce_end_of_document() returns trigger language plpgsql as $$
begin
    insert into webhook_deliveries (document_id, url, body)
    values (new.id, new.callback_url, jsonb_build_object(
        'type', 'document.' || new.status,
        'timestamp', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'data', jsonb_build_object(
            'id', new.id, 'title', new.title, 'status', new.status, 'run', new.run, 'page_count', new.page_count,
            'pages_done', new.pages_done, 'error', case when new.error is not null then
                jsonb_build_object('code', coalesce(new.error_code, 'unknown'), 'message', new.error) end
        )
    )::text);
    return null;
end $$;

create trigger documents_webhook after update of status on documents
for each row when (
    new.callback_url is not null and new.status <> old.status and new.status in ('done', 'failed', 'canceled')
)
execute function announce_end_of_document();

create function enqueue_webhook() returns trigger language plpgsql as $$
begin
    insert into apalis.jobs (id, job_type, job, max_attempts)
    values (
        apalis.generate_ulid(), 'webhooks', convert_to(jsonb_build_object('delivery_id', new.id)::text, 'UTF8'), 8
    );
    return null;
end $$;

create trigger webhook_deliveries_enqueue after insert on webhook_deliveries
for each row execute function enqueue_webhook();

create trigger webhook_deliveries_enqueue_again after update of status on webhook_deliveries
for each row when (new.status = 'pending' and old.status = 'failed')
execute function enqueue_webhook();

-- A message whose job died for good says so, even when the worker could not.
create function fail_webhook_of_dead_job() returns trigger language plpgsql as $$
begin
    update webhook_deliveries
    set status = 'failed', error = coalesce(error, 'Given up after ' || new.attempts || ' attempts.')
    where id = (convert_from(new.job, 'UTF8')::jsonb ->> 'delivery_id')::bigint and status = 'pending';
    return null;
end $$;

create trigger docreader_fail_webhook after update of status on apalis.jobs
for each row when (new.job_type = 'webhooks' and new.status in ('Failed', 'Killed') and new.attempts >= new.max_attempts)
execute function fail_webhook_of_dead_job();
