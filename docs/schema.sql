-- What a migrated database holds: made by `make schema`, compared by `make lint`. The text of functions and views is in
-- src/documents/sql and src/queue/sql, what it is for in docs/QUEUE.md.

-- Types
create type document_status as enum ('pending', 'processing', 'done', 'failed', 'canceled');
create domain attempt_outcome as text CHECK ((VALUE = ANY (ARRAY['done'::text, 'failed'::text, 'gave up'::text, 'handed back'::text, 'worker died'::text])));

-- Tables
create table api_tokens (
    id bigint not null generated always as identity,
    name text not null,
    token_sha256 text not null,
    scope text not null,
    created_at timestamp with time zone not null default now(),
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    constraint api_tokens_name_check CHECK (((name <> ''::text) AND (char_length(name) <= 100))),
    constraint api_tokens_name_key UNIQUE (name),
    constraint api_tokens_pkey PRIMARY KEY (id),
    constraint api_tokens_scope_check CHECK ((scope = ANY (ARRAY['read'::text, 'write'::text]))),
    constraint api_tokens_token_sha256_check CHECK ((token_sha256 ~ '^[0-9a-f]{64}$'::text)),
    constraint api_tokens_token_sha256_key UNIQUE (token_sha256)
);
CREATE INDEX api_tokens_live_idx ON public.api_tokens USING btree (id) WHERE (revoked_at IS NULL);

create table applied_sql (
    sha256 text not null,
    applied_at timestamp with time zone not null default clock_timestamp(),
    constraint applied_sql_pkey PRIMARY KEY (sha256),
    constraint applied_sql_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text))
);

create table audit_log (
    id bigint not null generated always as identity,
    at timestamp with time zone not null default now(),
    actor_kind text not null,
    actor_id bigint,
    actor text not null,
    action text not null,
    document_id bigint,
    detail text not null default ''::text,
    address text,
    constraint audit_log_action_check CHECK ((action <> ''::text)),
    constraint audit_log_actor_kind_check CHECK ((actor_kind = ANY (ARRAY['user'::text, 'token'::text, 'command line'::text, 'anonymous'::text]))),
    constraint audit_log_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_log_action_idx ON public.audit_log USING btree (action, id);
CREATE INDEX audit_log_actor_idx ON public.audit_log USING btree (actor, id);
CREATE INDEX audit_log_document_id_idx ON public.audit_log USING btree (document_id, id) WHERE (document_id IS NOT NULL);

create table detections (
    id bigint not null generated always as identity,
    page_id bigint not null,
    ordinal integer not null,
    class_id integer not null,
    label text not null,
    score real not null,
    x0_pt real not null,
    y0_pt real not null,
    x1_pt real not null,
    y1_pt real not null,
    x0_px real not null,
    y0_px real not null,
    x1_px real not null,
    y1_px real not null,
    mask_rle jsonb,
    crop_key text,
    constraint detections_check CHECK ((x1_pt > x0_pt)),
    constraint detections_check1 CHECK ((y1_pt > y0_pt)),
    constraint detections_check2 CHECK ((x1_px > x0_px)),
    constraint detections_check3 CHECK ((y1_px > y0_px)),
    constraint detections_class_id_check CHECK ((class_id >= 0)),
    constraint detections_ordinal_check CHECK ((ordinal >= 0)),
    constraint detections_page_id_fkey FOREIGN KEY (page_id) REFERENCES pages(id) ON DELETE CASCADE,
    constraint detections_page_id_ordinal_key UNIQUE (page_id, ordinal),
    constraint detections_pkey PRIMARY KEY (id),
    constraint detections_score_check CHECK (((score >= (0)::double precision) AND (score <= (1)::double precision)))
);

create table document_events (
    id bigint not null generated always as identity,
    document_id bigint not null,
    kind text not null,
    data jsonb not null,
    created_at timestamp with time zone not null default now(),
    constraint document_events_document_id_fkey FOREIGN KEY (document_id) REFERENCES documents(id) ON DELETE CASCADE,
    constraint document_events_kind_check CHECK ((kind = ANY (ARRAY['queued'::text, 'started'::text, 'page'::text, 'done'::text, 'failed'::text, 'canceled'::text]))),
    constraint document_events_pkey PRIMARY KEY (id)
);
CREATE INDEX document_events_document_id_idx ON public.document_events USING btree (document_id, id);
CREATE INDEX document_events_passing_idx ON public.document_events USING btree (created_at) WHERE (kind = ANY (ARRAY['queued'::text, 'started'::text, 'page'::text]));

create table documents (
    id bigint not null generated always as identity,
    title text not null,
    object_key text not null,
    size bigint,
    sha256 text,
    status document_status not null default 'pending'::document_status,
    page_count integer,
    pages_done integer not null default 0,
    error text,
    model_id bigint,
    created_at timestamp with time zone not null default now(),
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    page_range text,
    score_threshold real,
    crop_min_score real,
    priority integer not null default 0,
    run integer not null default 1,
    pages_in_file integer,
    error_code text,
    idempotency_key text,
    request_sha256 text,
    source_url text,
    callback_url text,
    wanted_model text,
    queued_at timestamp with time zone default now(),
    chunk_pages integer,
    generation integer not null default 0,
    pages_run integer not null default 1,
    shown_run integer,
    shown_model_id bigint,
    shown_complete boolean,
    pages_failed integer not null default 0,
    pages_score_threshold real,
    shown_score_threshold real,
    earlier_run integer,
    earlier_model_id bigint,
    earlier_score_threshold real,
    constraint documents_callback_url_check CHECK (((callback_url ~ '^https?://'::text) AND (octet_length(callback_url) <= 2048))),
    constraint documents_check CHECK ((pages_done <= page_count)),
    constraint documents_check1 CHECK (((status = 'failed'::document_status) = (error IS NOT NULL))),
    constraint documents_check2 CHECK (((status <> 'done'::document_status) OR ((pages_done = page_count) AND (finished_at IS NOT NULL)))),
    constraint documents_chunk_pages_check CHECK ((chunk_pages > 0)),
    constraint documents_crop_min_score_check CHECK (((crop_min_score >= (0)::double precision) AND (crop_min_score <= (1)::double precision))),
    constraint documents_earlier_check CHECK (((earlier_run IS NULL) = (earlier_model_id IS NULL))),
    constraint documents_earlier_model_id_fkey FOREIGN KEY (earlier_model_id) REFERENCES models(id),
    constraint documents_idempotency_key_check CHECK (((octet_length(idempotency_key) >= 1) AND (octet_length(idempotency_key) <= 255))),
    constraint documents_idempotency_key_key UNIQUE (idempotency_key),
    constraint documents_model_id_fkey FOREIGN KEY (model_id) REFERENCES models(id),
    constraint documents_object_key_check CHECK (((object_key <> ''::text) AND (octet_length(object_key) <= 1024))),
    constraint documents_object_key_key UNIQUE (object_key),
    constraint documents_page_count_check CHECK ((page_count > 0)),
    constraint documents_page_range_check CHECK ((page_range ~ '^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$'::text)),
    constraint documents_pages_done_check CHECK ((pages_done >= 0)),
    constraint documents_pages_failed_check CHECK (((pages_failed >= 0) AND (pages_failed <= pages_done))),
    constraint documents_pages_in_file_check CHECK ((pages_in_file > 0)),
    constraint documents_pages_run_check CHECK ((pages_run > 0)),
    constraint documents_pkey PRIMARY KEY (id),
    constraint documents_priority_check CHECK (((priority >= '-100'::integer) AND (priority <= 100))),
    constraint documents_run_check CHECK ((run > 0)),
    constraint documents_score_threshold_check CHECK (((score_threshold >= (0)::double precision) AND (score_threshold <= (1)::double precision))),
    constraint documents_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text)),
    constraint documents_shown_check CHECK (((shown_run IS NULL) = (shown_complete IS NULL))),
    constraint documents_shown_model_id_fkey FOREIGN KEY (shown_model_id) REFERENCES models(id),
    constraint documents_size_check CHECK ((size > 0)),
    constraint documents_source_url_check CHECK (((source_url ~ '^https?://'::text) AND (octet_length(source_url) <= 2048))),
    constraint documents_title_check CHECK (((title <> ''::text) AND (char_length(title) <= 200))),
    constraint documents_wanted_model_check CHECK ((wanted_model <> ''::text))
);
CREATE INDEX documents_created_at_idx ON public.documents USING btree (created_at, id);
CREATE INDEX documents_model_id_idx ON public.documents USING btree (model_id);
CREATE INDEX documents_status_created_at_idx ON public.documents USING btree (status, created_at, id);
CREATE INDEX documents_status_idx ON public.documents USING btree (status, id);
CREATE INDEX documents_title_idx ON public.documents USING gin (title gin_trgm_ops);
CREATE TRIGGER documents_cancel BEFORE UPDATE OF status ON public.documents FOR EACH ROW WHEN (((new.status = ANY (ARRAY['canceled'::document_status, 'failed'::document_status])) AND (old.status = ANY (ARRAY['pending'::document_status, 'processing'::document_status])))) EXECUTE FUNCTION cancel_document();
CREATE TRIGGER documents_enqueue AFTER INSERT ON public.documents FOR EACH ROW WHEN ((new.status = 'pending'::document_status)) EXECUTE FUNCTION enqueue_document();
CREATE TRIGGER documents_enqueue_again AFTER UPDATE OF status ON public.documents FOR EACH ROW WHEN (((new.status = 'pending'::document_status) AND (old.status = ANY (ARRAY['done'::document_status, 'failed'::document_status, 'canceled'::document_status])))) EXECUTE FUNCTION enqueue_document();
CREATE TRIGGER documents_event AFTER INSERT OR UPDATE ON public.documents FOR EACH ROW EXECUTE FUNCTION record_document_event();
CREATE TRIGGER documents_renew BEFORE UPDATE OF status ON public.documents FOR EACH ROW WHEN (((new.status = 'pending'::document_status) AND (old.status = ANY (ARRAY['done'::document_status, 'failed'::document_status, 'canceled'::document_status])))) EXECUTE FUNCTION renew_document();
CREATE TRIGGER documents_webhook AFTER UPDATE OF status ON public.documents FOR EACH ROW WHEN (((new.callback_url IS NOT NULL) AND (new.status <> old.status) AND (new.status = ANY (ARRAY['done'::document_status, 'failed'::document_status, 'canceled'::document_status])))) EXECUTE FUNCTION announce_end_of_document();

create table failed_pages (
    document_id bigint not null,
    run integer not null,
    model_id bigint not null,
    number integer not null,
    error_code text not null,
    error text not null,
    render_ms integer not null,
    created_at timestamp with time zone not null default now(),
    constraint failed_pages_document_id_fkey FOREIGN KEY (document_id) REFERENCES documents(id) ON DELETE CASCADE,
    constraint failed_pages_model_id_fkey FOREIGN KEY (model_id) REFERENCES models(id),
    constraint failed_pages_number_check CHECK ((number > 0)),
    constraint failed_pages_pkey PRIMARY KEY (document_id, run, model_id, number),
    constraint failed_pages_render_ms_check CHECK ((render_ms >= 0))
);

create table garbage (
    prefix text not null,
    since timestamp with time zone not null default now(),
    taken_until timestamp with time zone not null default '-infinity'::timestamp with time zone,
    constraint garbage_pkey PRIMARY KEY (prefix),
    constraint garbage_prefix_check CHECK ((prefix <> ''::text))
);

create table job_attempts (
    id bigint not null generated always as identity,
    job_id text not null,
    queue text not null,
    document_id bigint,
    worker text,
    started_at timestamp with time zone,
    ended_at timestamp with time zone not null default now(),
    outcome attempt_outcome not null,
    error text,
    chunk integer,
    constraint job_attempts_document_id_fkey FOREIGN KEY (document_id) REFERENCES documents(id) ON DELETE CASCADE,
    constraint job_attempts_pkey PRIMARY KEY (id)
);
CREATE INDEX job_attempts_document_id_idx ON public.job_attempts USING btree (document_id, id);
CREATE INDEX job_attempts_ended_at_idx ON public.job_attempts USING btree (ended_at);

create table login_links (
    token_sha256 text not null,
    user_id bigint not null,
    expires_at timestamp with time zone not null,
    constraint login_links_pkey PRIMARY KEY (token_sha256),
    constraint login_links_token_sha256_check CHECK ((token_sha256 ~ '^[0-9a-f]{64}$'::text)),
    constraint login_links_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
);

create table models (
    id bigint not null generated always as identity,
    name text not null,
    sha256 text not null,
    classes text[] not null,
    created_at timestamp with time zone not null default now(),
    summary text not null default ''::text,
    figures jsonb not null default '[]'::jsonb,
    constraint models_classes_check CHECK ((cardinality(classes) > 0)),
    constraint models_figures_check CHECK ((jsonb_typeof(figures) = 'array'::text)),
    constraint models_name_check CHECK ((name <> ''::text)),
    constraint models_name_sha256_key UNIQUE (name, sha256),
    constraint models_pkey PRIMARY KEY (id),
    constraint models_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text))
);

create table pages (
    id bigint not null generated always as identity,
    document_id bigint not null,
    model_id bigint not null,
    number integer not null,
    width_pt real not null,
    height_pt real not null,
    width_px integer not null,
    height_px integer not null,
    overlay_key text not null,
    render_ms integer not null,
    detect_ms integer not null,
    created_at timestamp with time zone not null default now(),
    image_key text,
    run integer not null default 1,
    thumbnail_key text,
    constraint pages_detect_ms_check CHECK ((detect_ms >= 0)),
    constraint pages_document_id_fkey FOREIGN KEY (document_id) REFERENCES documents(id) ON DELETE CASCADE,
    constraint pages_document_id_run_model_id_number_key UNIQUE (document_id, run, model_id, number),
    constraint pages_height_pt_check CHECK ((height_pt > (0)::double precision)),
    constraint pages_height_px_check CHECK ((height_px > 0)),
    constraint pages_model_id_fkey FOREIGN KEY (model_id) REFERENCES models(id),
    constraint pages_number_check CHECK ((number > 0)),
    constraint pages_pkey PRIMARY KEY (id),
    constraint pages_render_ms_check CHECK ((render_ms >= 0)),
    constraint pages_width_pt_check CHECK ((width_pt > (0)::double precision)),
    constraint pages_width_px_check CHECK ((width_px > 0))
);

create table paused_queues (
    queue text not null,
    since timestamp with time zone not null default now(),
    constraint paused_queues_pkey PRIMARY KEY (queue),
    constraint paused_queues_queue_check CHECK ((queue = ANY (ARRAY['documents'::text, 'webhooks'::text])))
);

create table reaper_looks (
    one boolean not null default true,
    looked_at timestamp with time zone not null default now(),
    gap_from timestamp with time zone not null default '-infinity'::timestamp with time zone,
    gap_until timestamp with time zone not null default '-infinity'::timestamp with time zone,
    server_started_at timestamp with time zone,
    constraint reaper_looks_one_check CHECK (one),
    constraint reaper_looks_pkey PRIMARY KEY (one)
);

create table session_signing_key (
    one boolean not null default true,
    key bytea not null,
    constraint session_signing_key_key_check CHECK ((octet_length(key) >= 64)),
    constraint session_signing_key_one_check CHECK (one),
    constraint session_signing_key_pkey PRIMARY KEY (one)
);

create table sessions (
    key_sha256 text not null,
    user_id bigint not null,
    csrf_token text not null,
    flash text,
    created_at timestamp with time zone not null default now(),
    expires_at timestamp with time zone not null,
    constraint sessions_csrf_token_check CHECK ((csrf_token <> ''::text)),
    constraint sessions_key_sha256_check CHECK ((key_sha256 ~ '^[0-9a-f]{64}$'::text)),
    constraint sessions_pkey PRIMARY KEY (key_sha256),
    constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
);
CREATE INDEX sessions_expires_at_idx ON public.sessions USING btree (expires_at);
CREATE INDEX sessions_user_id_idx ON public.sessions USING btree (user_id);

create table uploads (
    object_key text not null,
    document_id bigint,
    started_at timestamp with time zone not null default now(),
    id uuid not null default gen_random_uuid(),
    expires_at timestamp with time zone not null default (now() + '1 day'::interval),
    constraint uploads_document_id_fkey FOREIGN KEY (document_id) REFERENCES documents(id) ON DELETE CASCADE,
    constraint uploads_id_key UNIQUE (id),
    constraint uploads_pkey PRIMARY KEY (object_key)
);
CREATE INDEX uploads_document_id_idx ON public.uploads USING btree (document_id);
CREATE INDEX uploads_done_idx ON public.uploads USING btree (started_at) WHERE (document_id IS NOT NULL);
CREATE INDEX uploads_expires_at_idx ON public.uploads USING btree (expires_at) WHERE (document_id IS NULL);

create table users (
    id bigint not null generated always as identity,
    username text not null,
    email text not null default ''::text,
    password_hash text not null,
    role text not null,
    created_at timestamp with time zone not null default now(),
    last_login_at timestamp with time zone,
    disabled_at timestamp with time zone,
    constraint users_email_check CHECK ((char_length(email) <= 254)),
    constraint users_password_hash_check CHECK ((password_hash ~~ '$argon2id$%'::text)),
    constraint users_pkey PRIMARY KEY (id),
    constraint users_role_check CHECK ((role = ANY (ARRAY['viewer'::text, 'operator'::text, 'admin'::text]))),
    constraint users_username_check CHECK (((username <> ''::text) AND (char_length(username) <= 150)))
);
CREATE UNIQUE INDEX users_username_key ON public.users USING btree (lower(username));

create table webhook_deliveries (
    id bigint not null generated always as identity,
    document_id bigint not null,
    url text not null,
    body text not null,
    status text not null default 'pending'::text,
    attempts integer not null default 0,
    response_status integer,
    error text,
    attempted_at timestamp with time zone,
    created_at timestamp with time zone not null default now(),
    constraint webhook_deliveries_check CHECK (((status <> 'failed'::text) OR (error IS NOT NULL))),
    constraint webhook_deliveries_document_id_fkey FOREIGN KEY (document_id) REFERENCES documents(id) ON DELETE CASCADE,
    constraint webhook_deliveries_pkey PRIMARY KEY (id),
    constraint webhook_deliveries_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text])))
);
CREATE INDEX webhook_deliveries_document_id_idx ON public.webhook_deliveries USING btree (document_id, id);
CREATE TRIGGER webhook_deliveries_enqueue AFTER INSERT ON public.webhook_deliveries FOR EACH ROW EXECUTE FUNCTION enqueue_webhook();
CREATE TRIGGER webhook_deliveries_enqueue_again AFTER UPDATE OF status ON public.webhook_deliveries FOR EACH ROW WHEN (((new.status = 'pending'::text) AND (old.status = 'failed'::text))) EXECUTE FUNCTION enqueue_webhook();

create table worker_processes (
    id integer not null generated always as identity,
    host text not null,
    pid integer not null,
    model text not null,
    started_at timestamp with time zone not null default now(),
    seen_at timestamp with time zone not null default now(),
    suspected_at timestamp with time zone,
    ended_at timestamp with time zone,
    end_reason text,
    workers text[],
    memory_mb integer,
    constraint worker_processes_check CHECK (((ended_at IS NULL) = (end_reason IS NULL))),
    constraint worker_processes_end_reason_check CHECK ((end_reason = ANY (ARRAY['stopped'::text, 'died'::text, 'silent'::text, 'replaced'::text]))),
    constraint worker_processes_memory_mb_check CHECK ((memory_mb >= 0)),
    constraint worker_processes_pkey PRIMARY KEY (id)
);
CREATE INDEX worker_processes_alive_idx ON public.worker_processes USING btree (id) WHERE (ended_at IS NULL);

-- What is ours of apalis' tables
CREATE INDEX docreader_dead_jobs_idx ON apalis.jobs USING btree (run_at) WHERE ((status = 'Killed'::text) OR ((status = 'Failed'::text) AND (attempts >= max_attempts)));
CREATE INDEX docreader_document_jobs_idx ON apalis.jobs USING btree (job_document(job)) WHERE (job_type ~~ 'documents%'::text);
CREATE INDEX docreader_done_jobs_idx ON apalis.jobs USING btree (run_at) WHERE (status = 'Done'::text);
CREATE INDEX docreader_ended_jobs_idx ON apalis.jobs USING btree (done_at) WHERE (status = ANY (ARRAY['Done'::text, 'Killed'::text, 'Failed'::text]));
CREATE INDEX docreader_held_jobs_idx ON apalis.jobs USING btree (lock_by) WHERE (lock_by IS NOT NULL);
CREATE INDEX docreader_live_jobs_idx ON apalis.jobs USING btree (priority DESC, run_at) INCLUDE (job_type, status) WHERE ((status = ANY (ARRAY['Pending'::text, 'Queued'::text, 'Running'::text])) OR ((status = 'Failed'::text) AND (attempts < max_attempts)));
CREATE STATISTICS apalis.docreader_job_document_stats ON job_document(job) FROM apalis.jobs;
CREATE TRIGGER docreader_announce_job AFTER UPDATE OF status ON apalis.jobs FOR EACH ROW WHEN (((new.status = 'Pending'::text) AND (old.status <> 'Pending'::text) AND (new.run_at <= now()))) EXECUTE FUNCTION announce_job();
CREATE TRIGGER docreader_check_job BEFORE INSERT OR UPDATE OF id, job, job_type, metadata ON apalis.jobs FOR EACH ROW WHEN (((new.job_type ~~ 'documents%'::text) OR (new.job_type = 'webhooks'::text))) EXECUTE FUNCTION check_job();
CREATE TRIGGER docreader_fail_document AFTER UPDATE OF status ON apalis.jobs FOR EACH ROW WHEN (((new.job_type ~~ 'documents%'::text) AND (new.status = ANY (ARRAY['Failed'::text, 'Killed'::text])) AND (new.attempts >= new.max_attempts))) EXECUTE FUNCTION fail_document_of_dead_job();
CREATE TRIGGER docreader_fail_webhook AFTER UPDATE OF status ON apalis.jobs FOR EACH ROW WHEN (((new.job_type = 'webhooks'::text) AND (new.status = ANY (ARRAY['Failed'::text, 'Killed'::text])) AND (new.attempts >= new.max_attempts))) EXECUTE FUNCTION fail_webhook_of_dead_job();
CREATE TRIGGER docreader_forget_worker BEFORE UPDATE OF status ON apalis.jobs FOR EACH ROW WHEN (((old.status = 'Running'::text) AND ((new.job_type ~~ 'documents%'::text) OR (new.job_type = 'webhooks'::text)) AND ((new.status = 'Done'::text) OR job_is_dead(new.*)))) EXECUTE FUNCTION forget_worker();
CREATE TRIGGER docreader_guard_job BEFORE UPDATE OF status ON apalis.jobs FOR EACH ROW WHEN (((new.status = ANY (ARRAY['Pending'::text, 'Failed'::text])) AND (old.status = ANY (ARRAY['Queued'::text, 'Running'::text])))) EXECUTE FUNCTION guard_job();
CREATE TRIGGER docreader_hold_paused BEFORE UPDATE OF status ON apalis.jobs FOR EACH ROW WHEN (((new.status = 'Queued'::text) AND (old.status <> 'Queued'::text))) EXECUTE FUNCTION hold_paused_job();
CREATE TRIGGER docreader_record_attempt AFTER UPDATE OF status ON apalis.jobs FOR EACH ROW WHEN (((old.status = 'Running'::text) AND (new.status <> 'Running'::text) AND ((new.job_type ~~ 'documents%'::text) OR (new.job_type = 'webhooks'::text)))) EXECUTE FUNCTION record_job_attempt();

-- Views and their columns
-- document_jobs: id text, queue text, document_id bigint, chunk integer, live boolean, status text, attempts integer, max_attempts integer, priority integer, run_at timestamp with time zone, lock_by text, lock_at timestamp with time zone, done_at timestamp with time zone
-- document_progress: id bigint, title text, status document_status, pages text, running_for interval, expected interval, attempts bigint, jobs bigint, workers integer[], error text
-- lost_jobs: id text, queue text, lock_by text, lock_at timestamp with time zone
-- queue_health: queue text, ready bigint, scheduled bigint, running bigint, dead bigint, done bigint, oldest_wait interval
-- queue_jobs: id text, queue text, args jsonb, status text, attempts integer, max_attempts integer, priority integer, state text, run_at timestamp with time zone, age interval, worker text, started_at timestamp with time zone, took interval, error text
-- queue_workers: id integer, host text, pid integer, model text, started_at timestamp with time zone, state text, silent_for interval, jobs bigint, ended_at timestamp with time zone, memory_mb integer
-- readable_results: document_id bigint, run integer, model_id bigint
-- shown_results: document_id bigint, run integer, model_id bigint, complete boolean, score_threshold real

-- Functions
-- announce_end_of_document() returns trigger
-- announce_job() returns trigger
-- cancel_document() returns trigger
-- check_job() returns trigger
-- docreader_lock_class() returns integer
-- document_job_key(document documents) returns text
-- drop_results(document bigint, kept_runs integer[], kept_models bigint[]) returns void
-- enqueue_chunk(document documents, model text, number integer) returns void
-- enqueue_document() returns trigger
-- enqueue_webhook() returns trigger
-- fail_document_of_dead_job() returns trigger
-- fail_webhook_of_dead_job() returns trigger
-- finish_document(document bigint, model bigint, of_run integer) returns void
-- forget_jobs(document bigint) returns void
-- forget_worker() returns trigger
-- guard_job() returns trigger
-- hold_paused_job() returns trigger
-- job_document(job bytea) returns bigint
-- job_is_dead(job apalis.jobs) returns boolean
-- job_is_live(job apalis.jobs) returns boolean
-- listed_jobs(which text, document bigint, most bigint) returns SETOF text
-- max_attempts(queue text) returns integer
-- outcome_of_attempt(job apalis.jobs) returns attempt_outcome
-- prioritize_jobs(document bigint, new_priority integer) returns void
-- prune_jobs(done_for interval, dead_for interval, batch integer) returns integer
-- queue_position(document bigint) returns bigint
-- reap_workers(grace interval, silence interval) returns SETOF integer
-- record_document_event() returns trigger
-- record_job_attempt() returns trigger
-- renew_document() returns trigger
-- save_failed_page(job_id text, worker text, document bigint, model bigint, of_run integer, page integer, code text, reason text, took_ms integer) returns text
-- save_page(job_id text, worker text, document bigint, model bigint, of_run integer, page integer, points real[], pixels integer[], overlay_object text, image_object text, rendered_ms integer, detected_ms integer, class_ids integer[], labels text[], scores real[], boxes_pt real[], boxes_px real[], masks jsonb[], crops text[], thumbnail_object text DEFAULT NULL::text) returns text
-- say_word(process integer, has text[], memory integer DEFAULT NULL::integer) returns boolean
-- take_job(job_id text, holder text, died boolean) returns void
-- why_not_save(job_id text, worker text, document bigint, model bigint, of_run integer, page integer) returns text
-- worker_has_job(job_id text, worker text) returns boolean
-- worker_process_of(worker text) returns integer
