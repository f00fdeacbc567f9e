//! The faults of apalis-postgres 1.0 that docreader has remedies for. Each test first shows the fault with apalis as it comes, in a database
//! that has its schema only; should that fail one day, apalis has mended it and the remedy may go. The other half is docreader.

mod death;
mod delivery;
mod upkeep;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;

use crate::common::database;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    Sleep,
    /// Keeps its thread.
    Block,
    Fail,
    Panic,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Job {
    number: usize,
    act: Act,
    ms: u64,
}

/// Numbers of the jobs that were begun, in order.
type Begun = Arc<Mutex<Vec<usize>>>;

async fn handle(job: Job, begun: Data<Begun>) -> Result<(), BoxDynError> {
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
async fn bare() -> PgPool {
    let pool = PgPool::connect(&database().await).await.unwrap();
    PostgresStorage::setup(&pool).await.unwrap();
    pool
}

fn config() -> Config {
    Config::default().queue("q")
}

/// Heartbeats so quick that a test can wait for them to be missed; everything else as apalis has it.
fn quick() -> Config {
    config().heartbeat_interval(Duration::from_millis(500)).missed_heartbeats(3)
}

/// Wakes what apalis leaves asleep where a fetch takes as long as the interval of its polls, as docreader's own heartbeats do: the interval that
/// is over then is replaced by one that wakes nobody.
fn awake() -> Config {
    config().heartbeat_interval(Duration::from_secs(1)).missed_heartbeats(60)
}

async fn push(pool: &PgPool, queue: &str, act: Act, ms: u64, jobs: std::ops::Range<usize>) {
    for number in jobs {
        let insert = "insert into apalis.jobs (id, job_type, job, max_attempts)
                      values (apalis.generate_ulid(), $1, convert_to($2::text, 'UTF8'), 5)";
        // The ids make it a job that docreader's own queues take too.
        let job = json!({"number": number, "act": act, "ms": ms, "document_id": number, "delivery_id": number});
        sqlx::query(insert).bind(queue).bind(job.to_string()).execute(pool).await.unwrap();
    }
}

/// A worker that takes one job at a time, in a task of its own; aborting the task is its sudden death.
fn work(pool: &PgPool, name: &str, config: Config, begun: &Begun) -> tokio::task::JoinHandle<Result<(), WorkerError>> {
    let backend = PostgresStorage::<Job>::new(pool).with_config(config);
    let worker = WorkerBuilder::new(name).backend(backend.poll_with_interval(Duration::from_millis(100)));
    tokio::spawn(worker.data(begun.clone()).concurrency(1).build(handle).run())
}

fn count(begun: &Begun) -> usize {
    begun.lock().unwrap().len()
}

async fn statuses(pool: &PgPool) -> Vec<(String, i32)> {
    sqlx::query_as("select status, attempts from apalis.jobs order by id").fetch_all(pool).await.unwrap()
}
