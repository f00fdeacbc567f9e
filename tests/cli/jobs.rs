//! `app jobs`

use crate::common::pdf::pages;
use crate::common::{PATIENCE, TestApp};

/// What a command prints, and whether it was content.
async fn app(app: &TestApp, args: &[&str]) -> (bool, String) {
    let mut process = app.start(&[&["jobs"], args].concat(), &[]);
    let status = process.exit().await;
    (status.success(), process.log())
}

#[tokio::test]
async fn an_admin_looks_and_acts() {
    let test = TestApp::new().await;
    let good = test.insert("good", &pages(2)).await;
    let bad = test.insert("bad", b"no PDF").await;
    let waiting = test.insert("waiting", &pages(1)).await;
    let (ok, list) = app(&test, &["list"]).await;
    assert!(ok && list.matches("no worker for it is up").count() == 3, "{list}");
    assert_eq!(app(&test, &["cancel", &waiting.to_string()]).await, (true, format!("document {waiting} canceled\n")));

    let worker = test.work(&[]);
    assert_eq!(test.finished(good).await.status, "done");
    assert_eq!(test.finished(bad).await.status, "failed");
    test.settled().await;
    let (_, dead) = app(&test, &["list", "--state", "dead"]).await;
    assert!(dead.contains("bad") && !dead.contains("good"), "{dead}");
    let (_, shown) = app(&test, &["show", &bad.to_string()]).await;
    assert!(shown.contains("gave up") && shown.contains("The file is not a PDF"), "{shown}");
    let (_, workers) = app(&test, &["workers"]).await;
    assert!(workers.contains("alive") && workers.contains(&worker.pid().to_string()), "{workers}");

    // A paused queue gives nothing out.
    assert_eq!(app(&test, &["pause"]).await, (true, "documents paused\n".to_owned()));
    let (ok, retried) = app(&test, &["retry", &waiting.to_string()]).await;
    assert!(ok && retried == format!("document {waiting} queued again\n"), "{retried}");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let (_, list) = app(&test, &["list"]).await;
    assert!(list.contains("paused") && test.state(waiting).await.status == "pending", "{list}");
    assert_eq!(app(&test, &["resume"]).await, (true, "documents resumed\n".to_owned()));
    assert_eq!(test.finished(waiting).await.status, "done");

    let (ok, refused) = app(&test, &["retry", &good.to_string()]).await;
    assert!(!ok && refused.contains("is done and cannot be queued again"), "{refused}");
    let (ok, missing) = app(&test, &["show", "99"]).await;
    assert!(!ok && missing.contains("there is no document 99"), "{missing}");
    test.finish().await;
}

#[tokio::test]
async fn old_jobs_are_removed_in_batches() {
    let test = TestApp::new().await;
    let fresh = test.insert("fresh", &pages(1)).await;
    let fill = "insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, done_at)
        select apalis.generate_ulid(), 'documents', '{\"document_id\": 0}', case when n % 10 = 0 then 'Killed' else 'Done' end, 1, 5,
            now() - interval '8 days' from generate_series(1, 12000) n";
    sqlx::raw_sql(fill).execute(&test.pool).await.unwrap();
    assert_eq!(app(&test, &["prune"]).await, (true, "10800 jobs removed\n".to_owned()));
    assert_eq!(app(&test, &["prune", "--keep-dead-hours", "24"]).await, (true, "1200 jobs removed\n".to_owned()));
    assert_eq!(test.count("select count(*) from apalis.jobs").await, 1);
    let started = std::time::Instant::now();
    let _worker = test.work(&[]);
    assert_eq!(test.finished(fresh).await.status, "done");
    assert!(started.elapsed() < PATIENCE);
    test.finish().await;
}
