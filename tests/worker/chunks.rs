//! Large documents, of which several workers take a part each.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::pdf::pages;
use crate::common::{DocumentState, TestApp, fixture, slow_model};
use crate::handover::assert_whole;

fn large() -> Vec<u8> {
    std::fs::read(fixture("bytefield.pdf")).unwrap()
}

const CHUNKS: &[(&str, &str)] = &[("CHUNK_PAGES", "8")];

#[tokio::test]
async fn workers_share_a_large_document() {
    let app = TestApp::new().await;
    let workers = [app.work(CHUNKS), app.work(CHUNKS), app.work(CHUNKS)];
    let id = app.insert("bytefield", &large()).await;
    assert_whole(&app, id).await;
    app.settled().await;
    let attempts = "select count(*) from job_attempts where outcome = 'done' and document_id is not null";
    assert_eq!(app.count(attempts).await, 1 + 8, "58 pages in chunks of 8");
    assert_eq!(app.count("select count(distinct chunk) from job_attempts").await, 8);
    assert_eq!(app.count("select count(distinct worker_process_of(worker)) from job_attempts").await, 3);
    assert_eq!(app.count("select count(*) from document_events where kind = 'done'").await, 1);
    assert_eq!(app.count("select count(*) from document_events where kind = 'page'").await, 58);
    drop(workers);
    app.finish().await;
}

#[tokio::test]
async fn a_killed_worker_costs_its_chunk_only() {
    let app = TestApp::new().await;
    let id = app.insert("bytefield", &large()).await;
    let first = app.work(CHUNKS);
    app.until(id, |d| d.pages_done >= 12).await;
    first.signal(Signal::SIGKILL);
    let _second = app.work(CHUNKS);
    assert_whole(&app, id).await;
    app.settled().await;
    let died = app.count("select count(*) from job_attempts where outcome = 'worker died'").await;
    assert!((1..=3).contains(&died), "{died}");
    app.finish().await;
}

#[tokio::test]
async fn a_small_document_is_not_stuck_behind_a_large_one() {
    let app = TestApp::new().await;
    let large = app.insert("large", &large()).await;
    let _worker = app.work(&[("CHUNK_PAGES", "4")]);
    app.until(large, |d| d.pages_done >= 1).await;
    let small = app.insert("small", &pages(1)).await;
    // One in the same queue as the chunks, too.
    let object = docreader::storage::ObjectKey::parse("media/other.pdf").unwrap();
    app.storage.put(&object, &pages(1), "application/pdf").await.unwrap();
    let insert =
        "insert into documents (title, object_key, wanted_model) values ('other', 'media/other.pdf', 'default')
                  returning id";
    let other: i64 = sqlx::query_scalar(insert).fetch_one(&app.pool).await.unwrap();
    for id in [small, other] {
        assert_eq!(app.finished(id).await.status, "done");
    }
    let DocumentState { status, pages_done: done, .. } = app.state(large).await;
    assert!(status == "processing" && done < 40, "the large one is {status} with {done} pages");
    assert_eq!(app.finished(large).await.status, "done");
    app.finish().await;
}

#[tokio::test]
async fn what_is_canceled_or_fails_leaves_no_chunks() {
    let app = TestApp::new().await;
    let id = app.insert("bytefield", &large()).await;
    let workers = [app.work(CHUNKS), app.work(CHUNKS)];
    app.until(id, |d| d.pages_done >= 10).await;
    sqlx::raw_sql("update documents set status = 'canceled'").execute(&app.pool).await.unwrap();
    app.settled().await;
    let waiting = "select count(*) from document_jobs where live";
    assert_eq!(app.count(waiting).await, 0);
    let pages_done = app.state(id).await.pages_done;
    assert!(pages_done < 58);
    app.assert_sound().await;
    // Again, from there on; this time a job is given up on the way.
    sqlx::raw_sql("update documents set status = 'pending'").execute(&app.pool).await.unwrap();
    app.until(id, |d| d.pages_done >= pages_done + 3).await;
    let dead = "update apalis.jobs set attempts = 5, status = 'Failed', last_result = '{\"Err\": \"test\"}'
                where id = (select id from apalis.jobs where status = 'Running' limit 1)";
    // Between two chunks there may be none.
    while sqlx::raw_sql(dead).execute(&app.pool).await.unwrap().rows_affected() == 0 {}
    let DocumentState { status, error, .. } = app.finished(id).await;
    assert_eq!((status.as_str(), error.unwrap().contains("given up after 5 attempts")), ("failed", true));
    app.settled().await;
    assert_eq!(app.count(waiting).await, 0);
    drop(workers);
    app.finish().await;
}

/// New weights under the old name, as in a deployment: every page ends up with those of one model.
#[tokio::test]
async fn another_model_takes_the_whole_document_over() {
    let app = TestApp::new().await;
    let id = app.insert("thirty pages", &pages(30)).await;
    let mut first = app.work(CHUNKS);
    app.until(id, |d| d.pages_done >= 12).await;
    first.signal(Signal::SIGTERM);
    assert!(first.exit().await.success());
    let folder = app.folder.path().join("default");
    std::fs::create_dir(&folder).unwrap();
    for name in ["model_final.pth", "config.yaml"] {
        std::fs::copy(fixture("tiny_mask").join(name), folder.join(name)).unwrap();
    }
    let model = folder.to_str().unwrap();
    let settings = [CHUNKS[0], ("MODEL_PATH", model)];
    let _second = app.work(&settings);
    let _third = app.work(&settings);
    assert_eq!(app.finished(id).await.status, "done");
    app.settled().await;
    let done = "select count(*) from pages p join documents d on d.model_id = p.model_id";
    assert_eq!(app.count(done).await, 30);
    assert_eq!(app.count("select count(*) from models").await, 2);
    assert_eq!(app.count("select count(*) from document_events where kind = 'done'").await, 1);
    assert_eq!(app.count("select count(*) from document_jobs where live").await, 0);
    app.finish().await;
}

/// The tiny model on a page blown up until it takes seconds.
#[tokio::test]
async fn a_page_that_takes_too_long_fails_its_document() {
    let app = TestApp::new().await;
    let folder = slow_model(app.folder.path());
    let id = app.insert("slow", &pages(1)).await;
    sqlx::raw_sql("update apalis.jobs set attempts = 4").execute(&app.pool).await.unwrap();
    let settings = [("MODEL_PATH", folder.to_str().unwrap()), ("PAGE_TIMEOUT_SECONDS", "1")];
    let _worker = app.work(&settings);
    let started = Instant::now();
    let DocumentState { status, error, .. } = app.finished(id).await;
    assert_eq!(status, "failed");
    assert_eq!(error.unwrap(), "Page 1 took longer than 1 s to analyze (PAGE_TIMEOUT_SECONDS).");
    assert!(started.elapsed() < Duration::from_secs(20));
    let code: Option<String> =
        sqlx::query_scalar("select error_code from documents").fetch_one(&app.pool).await.unwrap();
    assert_eq!(code.as_deref(), Some("detect_timeout"));
    app.finish().await;
}
