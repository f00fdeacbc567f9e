//! What an admin sees of the queue, and does to it.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::interval;

/// A job, with its document if it has one.
#[derive(Debug)]
pub struct JobRow {
    pub id: String,
    pub queue: String,
    pub document_id: Option<i64>,
    pub title: Option<String>,
    pub pages: Option<String>,
    /// What it does, or why it waits.
    pub state: String,
    pub attempts: i32,
    pub worker: Option<i32>,
    pub seconds: Option<f64>,
    pub error: Option<String>,
    pub priority: i32,
    pub pages_done: Option<i32>,
    pub page_count: Option<i32>,
    /// From 0, and how many pages each has; of a document that is done in one piece there is none.
    pub chunk: Option<i32>,
    pub chunk_pages: Option<i32>,
    /// It runs, ended, or waits since then.
    pub since: OffsetDateTime,
}

/// Which jobs are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum JobFilter {
    /// Waiting and running
    Live,
    /// Running
    Running,
    /// Given up
    Dead,
    Done,
    All,
}

/// Jobs in the order in which they are taken; those that have ended with the last first.
pub async fn jobs(pool: &PgPool, which: JobFilter, document_id: Option<i64>, limit: i64) -> sqlx::Result<Vec<JobRow>> {
    let which = match which {
        JobFilter::Live => "live",
        JobFilter::Running => "runs",
        JobFilter::Dead => "dead",
        JobFilter::Done => "done",
        JobFilter::All => "all",
    };
    sqlx::query_as!(
        JobRow,
        r#"select j.id as "id!", j.queue as "queue!", d.id as "document_id?", d.title as "title?",
               case when d.id is not null then d.pages_done || '/' || coalesce(d.page_count::text, '?') end as pages,
               j.state as "state!", j.attempts as "attempts!", worker_process_of(j.worker) as worker,
               extract(epoch from coalesce(j.took, j.age))::float8 as seconds, j.error, j.priority as "priority!",
               d.pages_done as "pages_done?", d.page_count as "page_count?", (j.args -> 'chunk' ->> 'number')::integer as chunk,
               d.chunk_pages as "chunk_pages?", coalesce(case when j.state = 'runs' then j.started_at end, j.run_at) as "since!"
           from listed_jobs($1, $2, $3) with ordinality as listed (id, place)
               join queue_jobs j on j.id = listed.id
               left join documents d on d.id = (j.args ->> 'document_id')::bigint
           order by listed.place
           limit $3"#,
        which,
        document_id,
        limit
    )
    .fetch_all(pool)
    .await
}

/// A worker process.
#[derive(Debug)]
pub struct WorkerRow {
    pub id: i32,
    pub host: String,
    pub pid: i32,
    pub model: String,
    pub state: String,
    pub jobs: i64,
    pub silent_seconds: f64,
    pub started_at: OffsetDateTime,
    pub memory_mb: Option<i32>,
    pub ended_at: Option<OffsetDateTime>,
}

/// Workers that live, and those that have ended in the last day.
pub async fn workers(pool: &PgPool) -> sqlx::Result<Vec<WorkerRow>> {
    sqlx::query_as!(
        WorkerRow,
        r#"select id as "id!", host as "host!", pid as "pid!", model as "model!", state as "state!", jobs as "jobs!",
               extract(epoch from silent_for)::float8 as "silent_seconds!", started_at as "started_at!", memory_mb, ended_at
           from queue_workers where ended_at is null or ended_at > now() - interval '1 day' order by ended_at desc nulls first, id"#
    )
    .fetch_all(pool)
    .await
}

/// A queue that workers take nothing from.
#[derive(Debug)]
pub struct PausedQueue {
    pub queue: String,
    pub since: OffsetDateTime,
}

pub async fn paused(pool: &PgPool) -> sqlx::Result<Vec<PausedQueue>> {
    sqlx::query_as!(PausedQueue, "select queue, since from paused_queues order by queue").fetch_all(pool).await
}

/// Jobs that have given up.
pub async fn dead(pool: &PgPool) -> sqlx::Result<i64> {
    let count = sqlx::query_scalar!(r#"select count(*) as "dead!" from apalis.jobs j where job_is_dead(j)"#);
    count.fetch_one(pool).await
}

/// `false` if it was paused already.
pub async fn pause(db: &mut PgConnection, queue: &str) -> sqlx::Result<bool> {
    let paused = sqlx::query!("insert into paused_queues (queue) values ($1) on conflict do nothing", queue);
    Ok(paused.execute(db).await?.rows_affected() == 1)
}

/// `false` if it was not paused.
pub async fn resume(db: &mut PgConnection, queue: &str) -> sqlx::Result<bool> {
    let resumed = sqlx::query!("delete from paused_queues where queue = $1", queue);
    Ok(resumed.execute(db).await?.rows_affected() == 1)
}

/// Jobs that are removed at once, so that nobody waits for long.
const BATCH: i32 = 5000;

/// How long jobs are kept that have ended.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub done: Duration,
    pub dead: Duration,
}

/// Removes jobs that ended long ago; how many that were.
pub async fn prune(pool: &PgPool, keep: Retention) -> sqlx::Result<u64> {
    let mut total = 0;
    loop {
        let removed = sqlx::query_scalar!(
            r#"select prune_jobs($1, $2, $3) as "removed!""#,
            interval(keep.done),
            interval(keep.dead),
            BATCH
        );
        let removed = removed.fetch_one(pool).await?;
        total += u64::from(removed.unsigned_abs());
        if removed < BATCH {
            return Ok(total);
        }
    }
}
