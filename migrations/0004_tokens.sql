-- Who may use /api/v1. Only digests are kept; a token is shown once, when it is made.
create table api_tokens (
    id bigint generated always as identity primary key,
    name text not null unique check (name <> '' and char_length(name) <= 100),
    token_sha256 text not null unique check (token_sha256 ~ '^[0-9a-f]{64}$'),
    scope text not null check (scope in ('read', 'write')),
    created_at timestamptz not null default now(),
    last_used_at timestamptz,
    revoked_at timestamptz
);
