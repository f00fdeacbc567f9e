//! Getting a job, and saying how it went.

use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;
use sqlx::PgPool;

use super::{Act, Begun, awake, bare, config, count, handle, push, quick, statuses, work};
use crate::common::TestApp;
use crate::common::pdf::pages;

/// Fault 1: ten jobs are fetched at once, and while they wait for their turn no heartbeat is sent.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_in_the_buffer_do_not_run_twice() {
    let (pool, begun) = (bare().await, Begun::default());
    push(&pool, "q", Act::Sleep, 1200, 0..6).await;
    let first = work(&pool, "first", quick(), &begun);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = work(&pool, "second", quick(), &begun);
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert!(count(&begun) > 6, "mended? {:?}", begun.lock().unwrap());
    first.abort();
    second.abort();

    let app = TestApp::new().await;
    for i in 0..6 {
        app.insert(&i.to_string(), &pages(2)).await;
    }
    let _workers = [app.work(&[]), app.work(&[])];
    while app.count("select count(*) from documents where status <> 'done'").await > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    app.settled().await;
    assert_eq!(app.count("select count(*) from job_attempts").await, 6);
    app.finish().await;
}

/// Fault 4: attempts follow each other at once.
#[tokio::test]
async fn attempts_keep_a_distance() {
    let (pool, begun) = (bare().await, Begun::default());
    push(&pool, "q", Act::Fail, 0, 0..1).await;
    let worker = work(&pool, "w", awake(), &begun);
    // If they do not, it is mended.
    failed(&pool, &begun, 5).await;
    worker.abort();

    let (app, begun) = (TestApp::new().await, Begun::default());
    push(&app.pool, "webhooks", Act::Fail, 0, 0..1).await;
    let worker = work(&app.pool, "w", awake().queue("webhooks"), &begun);
    // At once, and after 1 s; the third is 16 s later.
    failed(&app.pool, &begun, 2).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((count(&begun), statuses(&app.pool).await), (2, vec![("Failed".to_owned(), 2)]));
    worker.abort();
    app.finish().await;
}

/// Waits for the only job to have failed so often.
async fn failed(pool: &PgPool, begun: &Begun, times: i32) {
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

/// Fault 5: what is not announced is not seen before the next heartbeat, half a minute later; only insertions of what is due are announced.
#[tokio::test]
async fn a_job_whose_time_comes_is_seen() {
    let later = "update apalis.jobs set run_at = now() + interval '1 second'";
    let (pool, begun) = (bare().await, Begun::default());
    let backend = PostgresStorage::<super::Job>::new(&pool).with_config(config()).with_pubsub();
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

    let app = TestApp::new().await;
    let mut worker = app.work(&[]);
    worker.find_in_log("waiting for ").await;
    let id = app.insert("later", &pages(1)).await;
    sqlx::raw_sql(later).execute(&app.pool).await.unwrap();
    let started = Instant::now();
    assert_eq!(app.finished(id).await.status, "done");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    app.finish().await;
}

/// Fault 8: a row that it cannot read ends a worker, and the next, and the next.
#[tokio::test]
async fn no_row_ends_a_worker() {
    let rows = [
        "insert into apalis.jobs (id, job_type, job) values ('by-hand', 'QUEUE', '{\"delivery_id\": 1}')",
        "insert into apalis.jobs (id, job_type, job) values (apalis.generate_ulid(), 'QUEUE', '{\"delivery\": 1}')",
        "insert into apalis.jobs (id, job_type, job) values (apalis.generate_ulid(), 'QUEUE', 'no JSON')",
        "insert into apalis.jobs (id, job_type, job, metadata)
         values (apalis.generate_ulid(), 'QUEUE', '{\"delivery_id\": 1}', hstore('a', null))",
    ];
    for (i, row) in rows.iter().enumerate() {
        let (pool, begun) = (bare().await, Begun::default());
        sqlx::raw_sql(sqlx::AssertSqlSafe(row.replace("QUEUE", "q"))).execute(&pool).await.unwrap();
        push(&pool, "q", Act::Sleep, 0, 0..1).await;
        let ended = tokio::time::timeout(Duration::from_secs(5), work(&pool, "w", config(), &begun)).await;
        assert!(ended.is_ok(), "row {i}: mended? {:?}", statuses(&pool).await);
    }
    let app = TestApp::new().await;
    for row in rows {
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(row.replace("QUEUE", "webhooks"))).execute(&app.pool).await;
        let error = refused.unwrap_err().to_string();
        assert!(
            ["no ULID", "need the number", "invalid input", "must not hold null"].iter().any(|m| error.contains(m)),
            "{error}"
        );
    }
    assert_eq!(app.count("select count(*) from apalis.jobs").await, 0);
    app.finish().await;
}

/// Fault 11: results that are not kept are not reported either, and the job runs for ever.
#[tokio::test]
async fn what_is_done_is_done() {
    let (pool, begun) = (bare().await, Begun::default());
    push(&pool, "q", Act::Sleep, 0, 0..1).await;
    let worker = work(&pool, "w", config().persist_results(false), &begun);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((count(&begun), &statuses(&pool).await[0].0[..]), (1, "Running"), "mended?");
    worker.abort();

    let app = TestApp::new().await;
    let _worker = app.work(&[]);
    let id = app.insert("a page", &pages(1)).await;
    assert_eq!(app.finished(id).await.status, "done");
    app.settled().await;
    assert_eq!(statuses(&app.pool).await, [("Done".to_owned(), 1)]);
    app.finish().await;
}
