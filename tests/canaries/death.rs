//! Workers that die, and workers that only seem to.

use std::time::Duration;

use apalis::prelude::*;

use crate::jobs::{Act, Begun, Job, bare, config, count, handle, push, quick, statuses, work};

/// Fault 2: a worker that comes back under its name keeps what it had as running for ever, and its third coming is refused.
#[tokio::test]
async fn a_worker_that_comes_back_keeps_its_old_jobs() {
    let (pool, begun) = (bare().await, Begun::default());
    push(&pool, "q", Act::Sleep, 60_000, 0..1).await;
    let first = work(&pool, "the same", quick(), &begun);
    tokio::time::sleep(Duration::from_secs(1)).await;
    first.abort();
    let again = work(&pool, "the same", quick(), &begun);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((count(&begun), &statuses(&pool).await[0].0[..]), (1, "Running"), "mended?");
    again.abort();
}

/// Fault 3: a job whose workers die is handed out without end.
#[tokio::test]
async fn a_job_that_kills_workers_is_handed_out_again() {
    let (pool, begun) = (bare().await, Begun::default());
    push(&pool, "q", Act::Sleep, 60_000, 0..1).await;
    sqlx::raw_sql("update apalis.jobs set max_attempts = 1").execute(&pool).await.unwrap();
    for name in ["first", "second", "third"] {
        let worker = work(&pool, name, quick(), &begun);
        tokio::time::sleep(Duration::from_secs(3)).await;
        worker.abort();
    }
    assert_eq!(count(&begun), 3, "mended?");
}

/// Faults 6 and 7: a worker that drains sends no heartbeats, nor does one whose job keeps its thread: others take what it is at.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_worker_is_taken_for_dead() {
    for act in [Act::Sleep, Act::Block] {
        let (pool, begun) = (bare().await, Begun::default());
        push(&pool, "q", act, 8000, 0..1).await;
        let draining_after = Duration::from_secs(if act == Act::Sleep { 1 } else { 60 });
        // A program with one thread, as `#[tokio::main(flavor = "current_thread")]` makes it.
        let (theirs, counted) = (pool.connect_options().as_ref().clone(), begun.clone());
        let first = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let pool = sqlx::PgPool::connect_with(theirs).await.unwrap();
                let backend = apalis_postgres::PostgresStorage::<Job>::new(&pool)
                    .with_config(quick())
                    .poll_with_interval(Duration::from_millis(100));
                let worker = WorkerBuilder::new("first").backend(backend).data(counted).build(handle);
                let told = async move {
                    tokio::time::sleep(draining_after).await;
                    Ok::<_, WorkerError>(())
                };
                let _ = tokio::time::timeout(Duration::from_secs(9), worker.run_until(told)).await;
            });
        });
        tokio::time::sleep(Duration::from_millis(700)).await;
        let second = work(&pool, "second", quick(), &begun);
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert!(count(&begun) >= 2, "{act:?}: mended?");
        second.abort();
        first.join().unwrap();
    }
}

/// Fault 13: a killed worker's job waits five minutes.
#[test]
fn a_dead_worker_is_missed_for_five_minutes() {
    assert_eq!(config().orphaned_duration(), Duration::from_secs(300), "mended?");
}
