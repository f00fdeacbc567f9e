//! All that knows apalis: the job type, the schema and the worker. Triggers enqueue jobs (sql/enqueue.sql); docs/QUEUE.md has the whole.

mod admin;
mod attempt;
mod audit;
mod backend;
mod context;
mod handle;
mod health;
mod job;
mod presence;
mod reaper;
mod schema;
mod statistics;
mod supervisor;
mod wakes;
mod webhooks;
mod worker;

pub use admin::{
    JobFilter, JobRow, PausedQueue, Retention, WorkerRow, dead, jobs, pause, paused, prune, resume, workers,
};
pub use attempt::{AttemptOutcome, AttemptRow, attempts};
pub use audit::audit;
pub use context::WorkerSettings;
pub use health::{QueueHealth, Standing, health, position, standings};
pub use job::{DocumentJob, WebhookJob};
pub use schema::{check_schema, migrate};
pub use statistics::{HourRow, hours, pages_since};
pub use worker::work;

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

/// As PostgreSQL has it.
fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}
