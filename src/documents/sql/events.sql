-- What is told of documents: events for clients that follow them, messages to callback URLs.

-- On channel docreader_events, with the document's id.
create or replace function record_document_event() returns trigger language plpgsql as $$
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
        'status', new.status, 'pages_done', new.pages_done, 'pages_failed', new.pages_failed, 'page_count', new.page_count,
        'error', new.error, 'error_code', new.error_code
    )));
    perform pg_notify('docreader_events', new.id::text);
    return null;
end $$;

create or replace trigger documents_event after insert or update on documents
for each row execute function record_document_event();

create or replace function announce_end_of_document() returns trigger language plpgsql as $$
begin
    insert into webhook_deliveries (document_id, url, body)
    values (new.id, new.callback_url, jsonb_build_object(
        'type', 'document.' || new.status,
        'timestamp', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'data', jsonb_build_object(
            'id', new.id, 'title', new.title, 'status', new.status, 'run', new.run, 'page_count', new.page_count,
            'pages_done', new.pages_done, 'pages_failed', new.pages_failed, 'error', case when new.error is not null then
                jsonb_build_object('code', coalesce(new.error_code, 'unknown'), 'message', new.error) end
        )
    )::text);
    return null;
end $$;

create or replace trigger documents_webhook after update of status on documents
for each row when (
    new.callback_url is not null and new.status <> old.status and new.status in ('done', 'failed', 'canceled')
)
execute function announce_end_of_document();
