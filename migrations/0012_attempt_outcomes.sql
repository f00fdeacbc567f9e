-- How an attempt may end stands in a type; and which functions a database has is known.

-- A domain and not an enum: clients read text, as before.
create domain attempt_outcome as text
    check (value in ('done', 'failed', 'gave up', 'handed back', 'worker died'));
alter table job_attempts
    alter column outcome type attempt_outcome,
    drop constraint job_attempts_outcome_check;

-- From here on functions, triggers and views are in src/documents/sql and src/queue/sql; `app migrate` applies them where they have
-- changed. Digests of the migrations and these files, as they have been applied; the last is what the database has.
create table applied_sql (
    sha256 text primary key check (sha256 ~ '^[0-9a-f]{64}$'),
    applied_at timestamptz not null default clock_timestamp()
);
