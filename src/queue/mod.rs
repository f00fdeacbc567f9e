//! All that knows apalis: the job type, the schema and the worker. Jobs are enqueued by a trigger (migrations/0002_queue.sql).

mod admin;
mod backend;
mod context;
mod handle;
mod health;
mod job;
mod presence;
mod reaper;
mod supervisor;
mod wakes;
mod webhooks;
mod worker;

pub use admin::{AttemptRow, JobFilter, JobRow, Retention, WorkerRow, attempts, jobs, pause, prune, resume, workers};
pub use context::WorkerSettings;
pub use health::{QueueHealth, Standing, health, position, standings};
pub use job::{DocumentJob, WebhookJob};
pub use worker::work;

use std::time::Duration;

use apalis_postgres::PostgresStorage;
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;

/// Creates apalis' schema, then ours, which refers to it.
pub async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    use anyhow::Context;
    PostgresStorage::setup(pool)
        .await
        .context("the queue's schema (extensions pgcrypto and hstore must be allowed)")?;
    sqlx::migrate!().run(pool).await.context("docreader's schema")
}

/// As PostgreSQL has it.
fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}
