//! Workers that go on, and a queue that stays quick.

use std::time::Duration;

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;

use crate::jobs::{Act, Begun, Job, ORPHANS, bare, config, handle, insert_finished, plan, push, work};

/// Faults 9 and 10: a job that panics, and a database that is away for a moment, end a worker; its monitor says that all went well.
#[tokio::test(flavor = "multi_thread")]
async fn an_accident_ends_a_worker() {
    let (pool, begun) = (bare().await, Begun::default());
    push(&pool, "q", Act::Panic, 0, 0..1).await;
    push(&pool, "q", Act::Sleep, 0, 1..2).await;
    let one_by_one = config().batch_size(1);
    let ended = tokio::time::timeout(Duration::from_secs(5), work(&pool, "w", one_by_one, &begun)).await;
    assert!(ended.is_ok() && *begun.lock().unwrap() == [0], "mended? {ended:?} {:?}", begun.lock().unwrap());

    let away = bare().await;
    let (theirs, counted) = (away.clone(), begun.clone());
    let monitor = Monitor::new().register(move |_| {
        let backend = PostgresStorage::<Job>::new(&theirs).with_config(config());
        let backend = backend.poll_with_interval(Duration::from_millis(100));
        WorkerBuilder::new("w").backend(backend).data(counted.clone()).build(handle)
    });
    let told = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(())
    };
    let monitored = tokio::spawn(monitor.shutdown_timeout(Duration::from_secs(1)).run_with_signal(told));
    tokio::time::sleep(Duration::from_secs(1)).await;
    away.close().await;
    assert!(monitored.await.unwrap().is_ok(), "mended?");
}

/// Fault 12: the look for orphans at each heartbeat reads all jobs there ever were.
#[tokio::test]
async fn finished_jobs_are_read() {
    let pool = bare().await;
    insert_finished(&pool, Some("w")).await;
    let plan = plan(&pool, ORPHANS).await;
    assert!(plan.contains("Seq Scan on jobs"), "mended? {plan}");
}
