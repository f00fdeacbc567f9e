-- Pages and what is found on them: recording, ending a document, beginning a new run.

-- Which pages are a document's results.
create or replace view shown_results as
select id as document_id, coalesce(shown_run, pages_run) as run,
    case when shown_run is null then model_id else shown_model_id end as model_id,
    coalesce(shown_complete, status = 'done') as complete,
    case when shown_run is null then pages_score_threshold else shown_score_threshold end as score_threshold
from documents;

-- Which pages' objects readers may get: those of the results, and those of the results before them, for comparing.
create or replace view readable_results as
select document_id, run, model_id from shown_results
union all
select id, earlier_run, earlier_model_id from documents where earlier_run is not null;

-- That of the time before an earlier run was kept.
drop function if exists drop_results(bigint, integer, bigint, integer, bigint);

-- Forgets all pages of a document but those of some runs, each of a model; their objects are garbage.
create or replace function drop_results(document bigint, kept_runs integer[], kept_models bigint[]) returns void language plpgsql as $$
begin
    with gone as (
        delete from pages p
        where document_id = document
            and not exists (select 1 from unnest(kept_runs, kept_models) k (run, model_id) where (k.run, k.model_id) = (p.run, p.model_id))
        returning overlay_key
    )
    insert into garbage (prefix)
    select distinct regexp_replace(overlay_key, '/page-[0-9]+/[^/]*$', '/') from gone
    on conflict do nothing;
    delete from failed_pages f
    where document_id = document
        and not exists (select 1 from unnest(kept_runs, kept_models) k (run, model_id) where (k.run, k.model_id) = (f.run, f.model_id));
end $$;

-- Whether a worker may record a page; null if so. It has the job, locked before the document as the triggers on jobs do, and nobody
-- can give it away until this has ended. What comes after a lock is a statement of its own, which sees what was committed meanwhile.
create or replace function why_not_save(job_id text, worker text, document bigint, model bigint, of_run integer, page integer) returns text
language plpgsql as $$
declare
    wanted boolean;
begin
    if not worker_has_job(job_id, worker) then
        return 'lost';
    end if;
    select status in ('pending', 'processing') and model_id = model and pages_run = of_run into wanted
    from documents where id = document for update;
    if exists (select 1 from pages where document_id = document and run = of_run and model_id = model and number = page)
        or exists (select 1 from failed_pages where document_id = document and run = of_run and model_id = model and number = page)
    then
        return 'before';
    end if;
    return case when wanted then null else 'unwanted' end;
end $$;

-- Without thumbnails; older workers, which may run beside newer ones, call the one below.
drop function if exists save_page(
    text, text, bigint, bigint, integer, integer, real[], integer[], text, text, integer, integer,
    integer[], text[], real[], real[], real[], jsonb[], text[]
);

-- Writes a page with its detections and counts it. Boxes are four numbers each, of all detections in a row. One statement, so that no host
-- can vanish in the middle of it.
create or replace function save_page(
    job_id text, worker text, document bigint, model bigint, of_run integer, page integer,
    points real[], pixels integer[], overlay_object text, image_object text, rendered_ms integer, detected_ms integer,
    class_ids integer[], labels text[], scores real[], boxes_pt real[], boxes_px real[], masks jsonb[], crops text[],
    thumbnail_object text default null
) returns text language plpgsql as $$
declare
    why text := why_not_save(job_id, worker, document, model, of_run, page);
    page_id bigint;
begin
    if why is not null then
        return why;
    end if;
    insert into pages (document_id, run, model_id, number, width_pt, height_pt, width_px, height_px, overlay_key, image_key, thumbnail_key,
        render_ms, detect_ms)
    values (document, of_run, model, page, points[1], points[2], pixels[1], pixels[2], overlay_object, image_object, thumbnail_object,
        rendered_ms, detected_ms)
    returning id into page_id;
    insert into detections (page_id, ordinal, class_id, label, score, x0_pt, y0_pt, x1_pt, y1_pt, x0_px, y0_px, x1_px, y1_px, mask_rle, crop_key)
    select page_id, n - 1, c, l, s, boxes_pt[4 * n - 3], boxes_pt[4 * n - 2], boxes_pt[4 * n - 1], boxes_pt[4 * n],
        boxes_px[4 * n - 3], boxes_px[4 * n - 2], boxes_px[4 * n - 1], boxes_px[4 * n], m, k
    from unnest(class_ids, labels, scores, masks, crops) with ordinality as t (c, l, s, m, k, n);
    update documents set pages_done = pages_done + 1 where id = document;
    return 'now';
end $$;

create or replace function save_failed_page(
    job_id text, worker text, document bigint, model bigint, of_run integer, page integer, code text, reason text, took_ms integer
) returns text language plpgsql as $$
declare
    why text := why_not_save(job_id, worker, document, model, of_run, page);
begin
    if why is not null then
        return why;
    end if;
    insert into failed_pages (document_id, run, model_id, number, error_code, error, render_ms)
    values (document, of_run, model, page, code, reason, took_ms);
    update documents set pages_done = pages_done + 1, pages_failed = pages_failed + 1 where id = document;
    return 'now';
end $$;

-- Ends a document once all its pages are there: what readers saw meanwhile gives way in the same transaction, and is kept as the earlier run
-- in place of the one before. One of which every page has failed has failed, and changes nothing of that. `pending` counts too: a worker that was given up for dead may have released the document while another was at it.
create or replace function finish_document(document bigint, model bigint, of_run integer) returns void language plpgsql as $$
declare
    failure failed_pages;
begin
    perform 1 from documents
    where id = document and model_id = model and pages_run = of_run and status in ('pending', 'processing') and pages_done = page_count
    for update;
    if not found then
        return;
    end if;
    select * into failure from failed_pages where document_id = document and run = of_run and model_id = model order by number limit 1;
    update documents
    set status = 'failed', error = failure.error, error_code = failure.error_code, finished_at = now()
    where id = document and pages_failed = page_count;
    if not found then
        update documents
        set status = 'done', finished_at = now(),
            earlier_run = coalesce(shown_run, earlier_run), earlier_model_id = coalesce(shown_model_id, earlier_model_id),
            earlier_score_threshold = case when shown_run is null then earlier_score_threshold else shown_score_threshold end,
            shown_run = null, shown_model_id = null, shown_complete = null, shown_score_threshold = null
        where id = document;
    end if;
    perform drop_results(document, array[of_run, d.shown_run, d.earlier_run], array[model, d.shown_model_id, d.earlier_model_id])
    from documents d where d.id = document;
end $$;

-- Setting a finished document back to 'pending', with plain SQL too, queues it again. It goes on with its pages, trying the failed ones again;
-- one whose pages have all succeeded, or that has none, begins a run of its own, beside what readers see.
create or replace function renew_document() returns trigger language plpgsql as $$
begin
    new.run := old.run + 1;
    new.generation := old.generation + 1;
    new.chunk_pages := null;
    new.error := null;
    new.error_code := null;
    new.queued_at := now();
    new.started_at := null;
    new.finished_at := null;
    if new.pages_done = 0 or (old.status = 'done' and old.pages_failed = 0) then
        new.pages_run := new.run;
        new.pages_done := 0;
        new.page_count := null;
        if old.shown_run is null and old.pages_done > old.pages_failed then
            new.shown_run := old.pages_run;
            new.shown_model_id := old.model_id;
            new.shown_complete := old.status = 'done';
            new.shown_score_threshold := old.pages_score_threshold;
        end if;
        new.pages_score_threshold := null;
        -- What an earlier run has left that came to no end.
        perform drop_results(old.id, array[new.shown_run, new.earlier_run], array[new.shown_model_id, new.earlier_model_id]);
    else
        delete from failed_pages where document_id = old.id and run = old.pages_run;
        new.pages_done := old.pages_done - old.pages_failed;
    end if;
    new.pages_failed := 0;
    return new;
end $$;

create or replace trigger documents_renew before update of status on documents
for each row when (new.status = 'pending' and old.status in ('done', 'failed', 'canceled'))
execute function renew_document();
