-- What /api/v1 adds: options of a document, runs of it, stable error codes, events.

alter table documents
    -- such as '1-3,5'; null for all pages
    add column page_range text check (page_range ~ '^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$'),
    -- null for the worker's settings
    add column score_threshold real check (score_threshold between 0 and 1),
    add column crop_min_score real check (crop_min_score between 0 and 1),
    -- higher first
    add column priority integer not null default 0 check (priority between -100 and 100),
    -- counted up each time the document is queued again
    add column run integer not null default 1 check (run > 0),
    add column pages_in_file integer check (pages_in_file > 0),
    -- names the kind of error; docs/API.md lists them
    add column error_code text,
    add column idempotency_key text unique check (octet_length(idempotency_key) between 1 and 255),
    -- of what the idempotency key stands for
    add column request_sha256 text;

alter table pages add column image_key text;

create function document_job_key(document documents) returns text language sql immutable as $$
    select 'document:' || document.id || case when document.run > 1 then ':' || document.run else '' end
$$;

create or replace function enqueue_document() returns trigger language plpgsql as $$
begin
    insert into apalis.jobs (id, job_type, job, max_attempts, priority, idempotency_key)
    values (
        apalis.generate_ulid(),
        'documents',
        convert_to(jsonb_build_object('document_id', new.id)::text, 'UTF8'),
        5,
        new.priority,
        document_job_key(new)
    );
    return null;
end $$;

-- Setting a finished document back to 'pending', with plain SQL too, queues it again.
create function renew_document() returns trigger language plpgsql as $$
begin
    new.run := old.run + 1;
    new.error := null;
    new.error_code := null;
    new.started_at := null;
    new.finished_at := null;
    return new;
end $$;

create trigger documents_renew before update of status on documents
for each row when (new.status = 'pending' and old.status in ('done', 'failed', 'canceled'))
execute function renew_document();

create trigger documents_enqueue_again after update of status on documents
for each row when (new.status = 'pending' and old.status in ('done', 'failed', 'canceled'))
execute function enqueue_document();

-- Setting it to 'canceled' takes its job out of the queue; a worker that is at it stops when it records the next page.
create function cancel_document() returns trigger language plpgsql as $$
begin
    delete from apalis.jobs
    where job_type = 'documents' and idempotency_key = document_job_key(old) and status in ('Pending', 'Failed');
    new.finished_at := now();
    return new;
end $$;

create trigger documents_cancel before update of status on documents
for each row when (new.status = 'canceled' and old.status in ('pending', 'processing'))
execute function cancel_document();

create or replace function fail_document_of_dead_job() returns trigger language plpgsql as $$
begin
    update documents
    set status = 'failed',
        error = 'Processing was given up after ' || new.attempts || ' attempts; the workers'' log has the cause.',
        error_code = 'gave_up',
        finished_at = now()
    where id = (convert_from(new.job, 'UTF8')::jsonb ->> 'document_id')::bigint
        and status in ('pending', 'processing');
    return null;
end $$;

-- What happened to a document, in order; resumable by id. Announced on channel docreader_events.
create table document_events (
    id bigint generated always as identity primary key,
    document_id bigint not null references documents (id) on delete cascade,
    kind text not null check (kind in ('queued', 'started', 'page', 'done', 'failed', 'canceled')),
    data jsonb not null,
    created_at timestamptz not null default now()
);
create index document_events_document_id_idx on document_events (document_id, id);

create function record_document_event() returns trigger language plpgsql as $$
declare
    event text;
begin
    if tg_op = 'INSERT' or (new.status <> old.status and new.status = 'pending' and new.run > old.run) then
        event := 'queued';
    elsif new.status <> old.status and new.status = 'processing' then
        event := 'started';
    elsif new.status <> old.status and new.status in ('done', 'failed', 'canceled') then
        event := new.status::text;
    elsif new.pages_done > old.pages_done and new.status in ('pending', 'processing') then
        event := 'page';
    else
        return null;
    end if;
    insert into document_events (document_id, kind, data)
    values (new.id, event, jsonb_strip_nulls(jsonb_build_object(
        'status', new.status, 'pages_done', new.pages_done, 'page_count', new.page_count,
        'error', new.error, 'error_code', new.error_code
    )));
    perform pg_notify('docreader_events', new.id::text);
    return null;
end $$;

create trigger documents_event after insert or update on documents
for each row execute function record_document_event();

-- Objects that are to be removed from the bucket: a key, or all keys below one that ends in a slash.
create table garbage (
    prefix text primary key check (prefix <> ''),
    since timestamptz not null default now()
);

-- Lists filter by status and go by id.
create index documents_status_idx on documents (status, id);
