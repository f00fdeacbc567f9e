//! Workers that end in the middle of a document.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::{TestApp, fixture};

/// Each page's rows are there once, as one worker alone would have written them.
async fn assert_whole(app: &TestApp, id: i64) {
    assert_eq!(app.finished(id).await, ("done".into(), 58, None));
    assert_eq!(app.count("select count(*) from pages").await, 58);
    assert_eq!(app.count("select count(distinct number) from pages where number between 1 and 58").await, 58);
    let gaps = "select count(*) from (select page_id, count(*) n, max(ordinal) + 1 m from detections group by 1) x where n <> m";
    assert_eq!(app.count(gaps).await, 0);
    let objects = app.storage.list("results/").await.unwrap();
    assert_eq!(objects.iter().filter(|k| k.ends_with("overlay.png")).count(), 58);
    let crops = app.count("select count(*) from detections where crop_key is not null").await;
    assert_eq!(objects.iter().filter(|k| k.ends_with("page.png")).count(), 58);
    assert_eq!(objects.len() as i64, 2 * 58 + crops);
}

#[tokio::test]
async fn a_killed_worker_is_replaced() {
    let app = TestApp::new().await;
    let id = app.insert("bytefield", &std::fs::read(fixture("bytefield.pdf")).unwrap()).await;
    let first = app.work(&[]);
    app.until(id, |(_, pages, _)| *pages >= 5).await;
    first.signal(Signal::SIGKILL);
    let done_by_first = app.status(id).await.1;
    assert!(done_by_first < 58);
    let second = app.work(&[]);
    assert_whole(&app, id).await;
    // It went on where the first had stopped.
    assert!(!second.log().contains("Running for page 4 of 58"));
    let attempts: i32 = sqlx::query_scalar("select attempts from apalis.jobs").fetch_one(&app.pool).await.unwrap();
    assert_eq!(attempts, 2, "the killed attempt counts");
}

#[tokio::test]
async fn a_stopped_worker_hands_back_at_the_next_page() {
    let app = TestApp::new().await;
    let id = app.insert("bytefield", &std::fs::read(fixture("bytefield.pdf")).unwrap()).await;
    let mut first = app.work(&[]);
    app.until(id, |(_, pages, _)| *pages >= 3).await;
    let asked = Instant::now();
    first.signal(Signal::SIGTERM);
    assert!(first.exit().await.success());
    assert!(asked.elapsed() < Duration::from_secs(10));
    let (status, pages, _) = app.status(id).await;
    assert!(status == "pending" && pages < 58, "{status} after {pages} pages");
    let job: (String, i32) =
        sqlx::query_as("select status, attempts from apalis.jobs").fetch_one(&app.pool).await.unwrap();
    assert_eq!(job, ("Pending".into(), 0), "handing back costs no attempt");
    let _second = app.work(&[]);
    assert_whole(&app, id).await;
}
