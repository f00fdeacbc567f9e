//! docreader's remedies for the faults of apalis that tests/canaries/ shows. `handover::death_is_noticed_in_seconds` has that of fault 13.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::pdf::pages;
use crate::common::{App, TestApp, fixture, slow_model};
use crate::jobs::{Act, Begun, ORPHANS, UNREADABLE, awake, count, failed, insert_finished, plan, push, statuses, work};

/// Fault 1: a worker has no more jobs than it is at.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_in_the_buffer_do_not_run_twice() {
    let app = TestApp::new().await;
    for i in 0..6 {
        app.insert(&i.to_string(), &pages(2)).await;
    }
    let _workers = [app.work(&[]), app.work(&[])];
    app.until_count("select count(*) from documents where status = 'done'", |done| done == 6).await;
    app.settled().await;
    assert_eq!(app.count("select count(*) from job_attempts").await, 6);
    app.finish().await;
}

/// Fault 2: names are never used again, and who lives is known by locks.
#[tokio::test]
async fn a_worker_that_comes_back_does_not_keep_its_old_jobs() {
    let app = TestApp::new().await;
    let id = app.insert("pages", &pages(20)).await;
    let first = app.work(&[]);
    app.until(id, |d| d.pages_done > 0).await;
    first.signal(Signal::SIGKILL);
    let _again = app.work(&[]);
    assert_eq!(app.finished(id).await.status, "done");
    app.settled().await;
    assert_eq!(app.count("select count(distinct worker) from job_attempts").await, 2);
    app.finish().await;
}

/// Fault 3: attempts that end with their worker count.
#[tokio::test]
async fn a_job_that_kills_workers_is_given_up() {
    let app = TestApp::new().await;
    let id = app.insert("pages", &pages(20)).await;
    sqlx::raw_sql("update apalis.jobs set max_attempts = 1").execute(&app.pool).await.unwrap();
    let first = app.work(&[]);
    app.until(id, |d| d.pages_done > 0).await;
    first.signal(Signal::SIGKILL);
    let _second = app.work(&[]);
    assert_eq!(app.finished(id).await.status, "failed");
    assert_eq!(app.count("select count(*) from job_attempts").await, 1);
    app.finish().await;
}

/// Fault 4: each attempt waits longer.
#[tokio::test]
async fn attempts_keep_a_distance() {
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

/// Fault 5: a job is seen when its time comes.
#[tokio::test]
async fn a_job_whose_time_comes_is_seen() {
    let later = "update apalis.jobs set run_at = now() + interval '1 second'";
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

/// A worker with a model that takes many seconds for a page.
fn slow(app: &TestApp) -> App {
    let folder = slow_model(app.folder.path());
    app.work(&[("MODEL_PATH", folder.to_str().unwrap())])
}

/// Faults 6 and 7: a worker shows that it lives while it drains and while it computes.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_worker_is_not_taken_for_dead() {
    let app = TestApp::new().await;
    let id = app.insert("a page", &pages(1)).await;
    let first = slow(&app);
    app.until(id, |d| d.status == "processing").await;
    let model = fixture("models/default");
    let mut second = app.work(&[("WORKER_SILENCE_SECONDS", "10"), ("MODEL_PATH", model.to_str().unwrap())]);
    second.find_in_log("waiting for ").await;
    // It drains, and computes.
    first.signal(Signal::SIGTERM);
    assert_eq!(app.finished(id).await.status, "done");
    app.settled().await;
    assert_eq!(app.count("select count(*) from job_attempts where outcome = 'worker died'").await, 0);
    assert!(!second.log().contains("dead workers"), "{}", second.log());
    app.finish().await;
}

/// Fault 8: a row that apalis cannot read is refused.
#[tokio::test]
async fn no_row_ends_a_worker() {
    let app = TestApp::new().await;
    for row in UNREADABLE {
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

/// Of processes that are connected.
const LOCKS: &str = "select count(*) from pg_locks join pg_database d on d.oid = database
    where locktype = 'advisory' and datname = current_database()";

/// Faults 9 and 10: a worker goes on after a panic and without its connections.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_outlives_its_accidents() {
    // The database loses its connections while a worker waits for work; the chaos test stops it altogether.
    let app = TestApp::new().await;
    let mut worker = app.work(&[]);
    worker.find_in_log("waiting for ").await;
    let end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()";
    for _ in 0..3 {
        sqlx::raw_sql(end).execute(&app.pool).await.unwrap();
        // The worker's lock shows that it is connected again.
        app.until_count(LOCKS, |locks| locks > 0).await;
    }
    let id = app.insert("a page", &pages(1)).await;
    assert_eq!(app.finished(id).await.status, "done");
    app.finish().await;
}

/// Fault 11: a job that is done is recorded as done.
#[tokio::test]
async fn what_is_done_is_done() {
    let app = TestApp::new().await;
    let _worker = app.work(&[]);
    let id = app.insert("a page", &pages(1)).await;
    assert_eq!(app.finished(id).await.status, "done");
    app.settled().await;
    assert_eq!(statuses(&app.pool).await, [("Done".to_owned(), 1)]);
    app.finish().await;
}

/// Fault 12: queries of the queue find what they need by index.
#[tokio::test]
async fn finished_jobs_cost_nothing() {
    let app = TestApp::new().await;
    // A job that is done belongs to no worker any more (trigger `docreader_forget_worker`).
    insert_finished(&app.pool, None).await;
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
    // The planner looks into `job_is_live` and `job_is_dead` (src/queue/sql/definitions.sql), and finds the conditions of their indexes.
    for (sql, index) in [
        (
            "explain select job_type, status, count(*) from apalis.jobs where job_is_live(jobs) group by 1, 2",
            "docreader_live_jobs_idx",
        ),
        (
            "explain select j.id from apalis.jobs j where job_is_live(j) and j.status not in ('Running', 'Queued')
             order by j.priority desc, j.run_at limit 5",
            "docreader_live_jobs_idx",
        ),
        (
            "explain select j.id from apalis.jobs j where job_is_dead(j) order by j.run_at desc limit 5",
            "docreader_dead_jobs_idx",
        ),
    ] {
        let plan = plan(&app.pool, sql).await;
        assert!(plan.contains(index), "{sql}\n{plan}");
    }
    app.finish().await;
}
