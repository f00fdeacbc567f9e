//! Getting a job, and saying how it went.

use std::time::Duration;

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;

use crate::jobs::{
    Act, Begun, Job, UNREADABLE, awake, bare, config, count, failed, handle, push, quick, statuses, work,
};

/// Fault 1: ten jobs are fetched at once, and while they wait for their turn no heartbeat is sent.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_in_the_buffer_run_twice() {
    let (pool, begun) = (bare().await, Begun::default());
    push(&pool, "q", Act::Sleep, 1200, 0..6).await;
    let first = work(&pool, "first", quick(), &begun);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = work(&pool, "second", quick(), &begun);
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert!(count(&begun) > 6, "mended? {:?}", begun.lock().unwrap());
    first.abort();
    second.abort();
}

/// Fault 4: attempts follow each other at once.
#[tokio::test]
async fn attempts_follow_each_other_at_once() {
    let (pool, begun) = (bare().await, Begun::default());
    push(&pool, "q", Act::Fail, 0, 0..1).await;
    let worker = work(&pool, "w", awake(), &begun);
    // If they do not, it is mended.
    failed(&pool, &begun, 5).await;
    worker.abort();
}

/// Fault 5: what is not announced is not seen before the next heartbeat, half a minute later; only insertions of what is due are announced.
#[tokio::test]
async fn a_job_whose_time_comes_is_not_seen() {
    let (pool, begun) = (bare().await, Begun::default());
    let backend = PostgresStorage::<Job>::new(&pool).with_config(config()).with_pubsub();
    let worker = WorkerBuilder::new("w").backend(backend).data(begun.clone()).build(handle);
    let worker = tokio::spawn(worker.run());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut tx = pool.begin().await.unwrap();
    let insert = "insert into apalis.jobs (id, job_type, job, run_at)
                  values (apalis.generate_ulid(), 'q', '{\"number\": 1, \"act\": \"sleep\", \"ms\": 0}', now() + interval '1 second')";
    sqlx::query(insert).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(begun.lock().unwrap().is_empty(), "mended?");
    worker.abort();
}

/// Fault 8: a row that it cannot read ends a worker, and the next, and the next.
#[tokio::test]
async fn a_row_ends_a_worker() {
    for (i, row) in UNREADABLE.iter().enumerate() {
        let (pool, begun) = (bare().await, Begun::default());
        sqlx::raw_sql(sqlx::AssertSqlSafe(row.replace("QUEUE", "q"))).execute(&pool).await.unwrap();
        push(&pool, "q", Act::Sleep, 0, 0..1).await;
        let ended = tokio::time::timeout(Duration::from_secs(5), work(&pool, "w", config(), &begun)).await;
        assert!(ended.is_ok(), "row {i}: mended? {:?}", statuses(&pool).await);
    }
}

/// Fault 11: results that are not kept are not reported either, and the job runs for ever.
#[tokio::test]
async fn what_is_done_stays_running() {
    let (pool, begun) = (bare().await, Begun::default());
    push(&pool, "q", Act::Sleep, 0, 0..1).await;
    let worker = work(&pool, "w", config().persist_results(false), &begun);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((count(&begun), &statuses(&pool).await[0].0[..]), (1, "Running"), "mended?");
    worker.abort();
}
