//! Jobs and workers of apalis alone, as it comes.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;

use crate::common::database;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    Sleep,
    /// Keeps its thread.
    Block,
    Fail,
    Panic,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    number: usize,
    act: Act,
    ms: u64,
}

/// Numbers of the jobs that were begun, in order.
pub type Begun = Arc<Mutex<Vec<usize>>>;

pub async fn handle(job: Job, begun: Data<Begun>) -> Result<(), BoxDynError> {
    begun.lock().unwrap().push(job.number);
    let time = Duration::from_millis(job.ms);
    match job.act {
        Act::Sleep => tokio::time::sleep(time).await,
        Act::Block => std::thread::sleep(time),
        Act::Fail => return Err("no".into()),
        Act::Panic => panic!("a job that panics"),
    }
    Ok(())
}

/// A database with apalis' schema and nothing else.
pub async fn bare() -> PgPool {
    let pool = PgPool::connect(&database().await).await.unwrap();
    PostgresStorage::setup(&pool).await.unwrap();
    pool
}

pub fn config() -> Config {
    Config::default().queue("q")
}

/// Heartbeats so quick that a test can wait for them to be missed; everything else as apalis has it.
pub fn quick() -> Config {
    config().heartbeat_interval(Duration::from_millis(500)).missed_heartbeats(3)
}

/// Wakes what apalis leaves asleep where a fetch takes as long as the interval of its polls, as docreader's own heartbeats do: the interval that
/// is over then is replaced by one that wakes nobody.
pub fn awake() -> Config {
    config().heartbeat_interval(Duration::from_secs(1)).missed_heartbeats(60)
}

pub async fn push(pool: &PgPool, queue: &str, act: Act, ms: u64, jobs: std::ops::Range<usize>) {
    for number in jobs {
        let insert = "insert into apalis.jobs (id, job_type, job, max_attempts)
                      values (apalis.generate_ulid(), $1, convert_to($2::text, 'UTF8'), 5)";
        // The ids make it a job that docreader's own queues take too.
        let job = json!({"number": number, "act": act, "ms": ms, "document_id": number, "delivery_id": number});
        sqlx::query(insert).bind(queue).bind(job.to_string()).execute(pool).await.unwrap();
    }
}

/// A worker that takes one job at a time, in a task of its own; aborting the task is its sudden death.
pub fn work(
    pool: &PgPool,
    name: &str,
    config: Config,
    begun: &Begun,
) -> tokio::task::JoinHandle<Result<(), WorkerError>> {
    let backend = PostgresStorage::<Job>::new(pool).with_config(config);
    let worker = WorkerBuilder::new(name).backend(backend.poll_with_interval(Duration::from_millis(100)));
    tokio::spawn(worker.data(begun.clone()).concurrency(1).build(handle).run())
}

pub fn count(begun: &Begun) -> usize {
    begun.lock().unwrap().len()
}

pub async fn statuses(pool: &PgPool) -> Vec<(String, i32)> {
    sqlx::query_as("select status, attempts from apalis.jobs order by id").fetch_all(pool).await.unwrap()
}

/// Waits for the only job to have failed so often.
pub async fn failed(pool: &PgPool, begun: &Begun, times: i32) {
    let started = Instant::now();
    loop {
        let got = (count(begun), statuses(pool).await);
        if got == (times as usize, vec![("Failed".to_owned(), times)]) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(12), "not {times} times: {got:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Rows of queue `QUEUE` that apalis cannot read.
pub const UNREADABLE: [&str; 4] = [
    "insert into apalis.jobs (id, job_type, job) values ('by-hand', 'QUEUE', '{\"delivery_id\": 1}')",
    "insert into apalis.jobs (id, job_type, job) values (apalis.generate_ulid(), 'QUEUE', '{\"delivery\": 1}')",
    "insert into apalis.jobs (id, job_type, job) values (apalis.generate_ulid(), 'QUEUE', 'no JSON')",
    "insert into apalis.jobs (id, job_type, job, metadata)
     values (apalis.generate_ulid(), 'QUEUE', '{\"delivery_id\": 1}', hstore('a', null))",
];

/// What apalis asks at each heartbeat: jobs whose worker is silent.
pub const ORPHANS: &str =
    "explain select jobs.id from apalis.jobs inner join apalis.workers on jobs.lock_by = workers.id
    where (jobs.status = 'Running' or jobs.status = 'Queued') and now() - workers.last_seen >= interval '300 s'
        and workers.worker_type = 'documents' for update of jobs skip locked";

/// 50,000 jobs that are done, and that a worker is named with or none.
pub async fn insert_finished(pool: &PgPool, worker: Option<&str>) {
    let insert = "insert into apalis.jobs (id, job_type, job, status, done_at, lock_by, lock_at)
        select apalis.generate_ulid(), 'documents', convert_to(json_build_object('document_id', n)::text, 'UTF8'), 'Done',
            now(), $1, now() from generate_series(1, 50000) n";
    sqlx::raw_sql(
        "insert into apalis.workers (id, worker_type, storage_name, layers) values ('w', 'documents', 's', 'l')",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(insert).bind(worker).execute(pool).await.unwrap();
    sqlx::raw_sql("analyze apalis.jobs").execute(pool).await.unwrap();
}

pub async fn plan(pool: &PgPool, sql: &'static str) -> String {
    let lines: Vec<String> = sqlx::query_scalar(sql).fetch_all(pool).await.unwrap();
    lines.join("\n")
}
