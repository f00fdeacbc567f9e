//! How the queue stands.

use serde::Serialize;
use sqlx::PgPool;
use time::OffsetDateTime;

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct QueueHealth {
    /// Due and waiting for a worker.
    pub ready: i64,
    /// Waiting for their time, after a failed attempt.
    pub scheduled: i64,
    pub running: i64,
    /// Seconds that the longest waiting job has waited.
    pub oldest_wait_seconds: Option<f64>,
    /// Worker processes that live.
    pub workers: i64,
    /// Messages to callback URLs that are still to be sent.
    pub webhooks: i64,
}

pub async fn health(pool: &PgPool) -> sqlx::Result<QueueHealth> {
    // First as few kinds, then their sums.
    sqlx::query_as!(
        QueueHealth,
        r#"select coalesce(sum(due) filter (where d and status in ('Pending', 'Failed')), 0)::bigint as "ready!",
               coalesce(sum(jobs - due) filter (where d and status in ('Pending', 'Failed')), 0)::bigint as "scheduled!",
               coalesce(sum(jobs) filter (where d and status in ('Queued', 'Running')), 0)::bigint as "running!",
               extract(epoch from now() - min(first) filter (where d and status = 'Pending' and first <= now()))::float8
                   as oldest_wait_seconds,
               (select count(*) from worker_processes where ended_at is null) as "workers!",
               coalesce(sum(jobs) filter (where job_type = 'webhooks' and status in ('Pending', 'Failed')), 0)::bigint as "webhooks!"
           from (
               select job_type, status, job_type like 'documents%' as d, count(*) as jobs, min(run_at) as first,
                   count(*) filter (where run_at <= now()) as due
               from apalis.jobs
               where job_is_live(jobs)
               group by job_type, status
           ) kinds"#
    )
    .fetch_one(pool)
    .await
}

/// The place of a waiting document among the jobs that are due, from 1; `None` if its job does not wait.
pub async fn position(pool: &PgPool, document_id: i64) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("select queue_position($1)", document_id).fetch_one(pool).await
}

/// What becomes of a document's jobs.
#[derive(Debug, Clone)]
pub struct Standing {
    pub document_id: i64,
    /// The number of the attempt that runs, or is next; of a document in chunks, of the chunk that needed most.
    pub attempt: i32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// If it waits until then, after a failed attempt.
    pub next_attempt_at: Option<OffsetDateTime>,
}

/// Of those of the documents that wait or run.
pub async fn standings(pool: &PgPool, documents: &[i64]) -> sqlx::Result<Vec<Standing>> {
    sqlx::query_as!(
        Standing,
        r#"select j.document_id as "document_id!", max(j.attempts) + 1 as "attempt!",
               (array_agg(a.last_result ->> 'Err' order by j.attempts desc, j.run_at desc) filter (where j.attempts > 0))[1] as last_error,
               min(j.run_at) filter (where j.run_at > now()) as next_attempt_at
           from document_jobs j join apalis.jobs a on a.id = j.id
           where j.document_id = any ($1) and j.live
           group by j.document_id"#,
        documents
    )
    .fetch_all(pool)
    .await
}
