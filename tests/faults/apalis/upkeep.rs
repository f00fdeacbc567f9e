//! Workers that go on, and a queue that stays quick.

use std::time::Duration;

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;

use super::{Act, Begun, Job, bare, config, handle, push, work};
use crate::common::TestApp;
use crate::common::pdf::pages;

/// Faults 9 and 10: a job that panics, and a database that is away for a moment, end a worker; its monitor says that all went well.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_outlives_its_accidents() {
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

    // The database loses its connections while a worker waits for work; the chaos test stops it altogether.
    let app = TestApp::new().await;
    let mut worker = app.work(&[]);
    worker.find_in_log("waiting for ").await;
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()";
    for _ in 0..3 {
        sqlx::raw_sql(end).execute(&app.pool).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let id = app.insert("a page", &pages(1)).await;
    assert_eq!(app.finished(id).await.status, "done");
    app.finish().await;
}

/// Fault 12: the look for orphans at each heartbeat reads all jobs there ever were.
#[tokio::test]
async fn finished_jobs_cost_nothing() {
    const ORPHANS: &str =
        "explain select jobs.id from apalis.jobs inner join apalis.workers on jobs.lock_by = workers.id
        where (jobs.status = 'Running' or jobs.status = 'Queued') and now() - workers.last_seen >= interval '300 s'
            and workers.worker_type = 'documents' for update of jobs skip locked";
    const FINISHED: &str = "insert into apalis.workers (id, worker_type, storage_name, layers) values ('w', 'documents', 's', 'l');
        insert into apalis.jobs (id, job_type, job, status, done_at, lock_by, lock_at)
        select apalis.generate_ulid(), 'documents', convert_to(json_build_object('document_id', n)::text, 'UTF8'), 'Done',
            now(), OWNER, now() from generate_series(1, 50000) n;
        analyze apalis.jobs;";
    async fn plan(pool: &sqlx::PgPool, sql: &'static str) -> String {
        let lines: Vec<String> = sqlx::query_scalar(sql).fetch_all(pool).await.unwrap();
        lines.join("\n")
    }
    let pool = bare().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(FINISHED.replace("OWNER", "'w'"))).execute(&pool).await.unwrap();
    let before = plan(&pool, ORPHANS).await;
    assert!(before.contains("Seq Scan on jobs"), "mended? {before}");

    let app = TestApp::new().await;
    // A job that is done belongs to no worker any more (trigger `docreader_forget_worker`).
    sqlx::raw_sql(sqlx::AssertSqlSafe(FINISHED.replace("OWNER", "null"))).execute(&app.pool).await.unwrap();
    for sql in [
        ORPHANS,
        "explain select id from apalis.jobs
         where (status = 'Pending' or (status = 'Failed' and attempts < max_attempts)) and run_at < now() and job_type = 'documents'
         order by priority desc, run_at limit 1 for update skip locked",
        "explain select id from document_jobs where document_id = 7 and live",
        "explain select id from apalis.jobs where lock_by is not null and status in ('Running', 'Queued') and worker_process_of(lock_by) = any ('{1,2}')",
        "explain select id from apalis.jobs where done_at < now() - interval '1 day' and status = 'Done' order by done_at limit 5000",
    ] {
        let plan = plan(&app.pool, sql).await;
        assert!(!plan.contains("Seq Scan on jobs"), "{sql}\n{plan}");
    }
    app.finish().await;
}
