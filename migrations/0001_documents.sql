-- Documents, what was found in them, and by which model.

create type document_status as enum ('pending', 'processing', 'done', 'failed', 'canceled');

create table models (
    id bigint generated always as identity primary key,
    name text not null check (name <> ''),
    -- of the weights file
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    classes text[] not null check (cardinality(classes) > 0),
    created_at timestamptz not null default now(),
    unique (name, sha256)
);

create table documents (
    id bigint generated always as identity primary key,
    title text not null check (title <> '' and char_length(title) <= 200),
    -- in the bucket
    object_key text not null unique check (object_key <> '' and octet_length(object_key) <= 1024),
    -- bytes and digest of the file; null until the worker has read an object that was registered with plain SQL
    size bigint check (size > 0),
    sha256 text check (sha256 ~ '^[0-9a-f]{64}$'),
    status document_status not null default 'pending',
    page_count integer check (page_count > 0),
    pages_done integer not null default 0 check (pages_done >= 0),
    -- a sentence for the person who uploaded it
    error text,
    model_id bigint references models (id),
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    check (pages_done <= page_count),
    check ((status = 'failed') = (error is not null)),
    check (status <> 'done' or (pages_done = page_count and finished_at is not null))
);

-- One row a page and model: results of an earlier model stay.
create table pages (
    id bigint generated always as identity primary key,
    document_id bigint not null references documents (id) on delete cascade,
    model_id bigint not null references models (id),
    number integer not null check (number > 0),
    width_pt real not null check (width_pt > 0),
    height_pt real not null check (height_pt > 0),
    width_px integer not null check (width_px > 0),
    height_px integer not null check (height_px > 0),
    overlay_key text not null,
    render_ms integer not null check (render_ms >= 0),
    detect_ms integer not null check (detect_ms >= 0),
    created_at timestamptz not null default now(),
    unique (document_id, model_id, number)
);

create table detections (
    id bigint generated always as identity primary key,
    page_id bigint not null references pages (id) on delete cascade,
    -- best score first, from 0
    ordinal integer not null check (ordinal >= 0),
    class_id integer not null check (class_id >= 0),
    label text not null,
    score real not null check (score between 0 and 1),
    -- PDF points, origin at the top left
    x0_pt real not null,
    y0_pt real not null,
    x1_pt real not null check (x1_pt > x0_pt),
    y1_pt real not null check (y1_pt > y0_pt),
    -- pixels of the rendered page
    x0_px real not null,
    y0_px real not null,
    x1_px real not null check (x1_px > x0_px),
    y1_px real not null check (y1_px > y0_px),
    -- COCO run-length encoding: {"size": [height, width], "counts": "…"}
    mask_rle jsonb,
    crop_key text,
    unique (page_id, ordinal)
);

-- Object keys that are taken, from before the first byte is sent. A row without a document belongs to an upload that is under
-- way or was cut off; its object is an orphan once the row is old.
create table uploads (
    object_key text primary key,
    document_id bigint references documents (id) on delete cascade,
    started_at timestamptz not null default now()
);
create index uploads_document_id_idx on uploads (document_id);
