-- People who log in, their sessions, and what they and tokens have changed.

create table users (
    id bigint generated always as identity primary key,
    username text not null check (username <> '' and char_length(username) <= 150),
    email text not null default '' check (char_length(email) <= 254),
    -- PHC string of argon2id.
    password_hash text not null check (password_hash like '$argon2id$%'),
    role text not null check (role in ('viewer', 'operator', 'admin')),
    created_at timestamptz not null default now(),
    last_login_at timestamptz,
    disabled_at timestamptz
);
-- Nobody is to be mistaken for another by the case of a letter.
create unique index users_username_key on users (lower(username));

create table sessions (
    key_sha256 text primary key check (key_sha256 ~ '^[0-9a-f]{64}$'),
    user_id bigint not null references users (id) on delete cascade,
    csrf_token text not null check (csrf_token <> ''),
    -- A sentence for the next page.
    flash text,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index sessions_user_id_idx on sessions (user_id);
create index sessions_expires_at_idx on sessions (expires_at);

-- Signs the cookies of all servers; whoever deletes the row ends all sessions.
create table session_signing_key (
    one boolean primary key default true check (one),
    key bytea not null check (octet_length(key) >= 64)
);

-- Names are kept, as users, tokens and documents may be gone one day.
create table audit_log (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    actor_kind text not null check (actor_kind in ('user', 'token', 'command line', 'anonymous')),
    -- Of the user or the token.
    actor_id bigint,
    actor text not null,
    action text not null check (action <> ''),
    document_id bigint,
    -- What was changed if it is no document, and how.
    detail text not null default '',
    address text
);
create index audit_log_document_id_idx on audit_log (document_id, id) where document_id is not null;
create index audit_log_actor_idx on audit_log (actor, id);
create index audit_log_action_idx on audit_log (action, id);

-- Links that log in once, such as the one that `app up` prints.
create table login_links (
    token_sha256 text primary key check (token_sha256 ~ '^[0-9a-f]{64}$'),
    user_id bigint not null references users (id) on delete cascade,
    expires_at timestamptz not null
);

-- What pages show of workers and models.
alter table worker_processes add column memory_mb integer check (memory_mb >= 0);
-- From the model's card: its first paragraph, and figures as [{"name": …, "value": …}].
alter table models
    add column summary text not null default '',
    add column figures jsonb not null default '[]' check (jsonb_typeof(figures) = 'array');
create index documents_model_id_idx on documents (model_id);
