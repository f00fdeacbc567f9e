//! Runs: what is processed again, what fails in part, and what is tried again.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::Api;
use crate::common::http::Stranger;
use crate::common::pdf::{pages, two_bad_pages};
use crate::common::{DocumentState, PATIENCE, TestApp, fixture};

async fn reprocess(api: &Api, body: &Value) -> Value {
    let request = api.client.post(format!("{}/documents/1/reprocess", api.base)).json(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

/// Numbers of the pages that readers see, and what the export says of them.
async fn seen(api: &Api) -> (Vec<i64>, String, String) {
    let pages = api.get("/documents/1/pages").await;
    let numbers = pages["pages"].as_array().unwrap().iter().map(|p| p["number"].as_i64().unwrap()).collect();
    let export = api.send(Method::GET, "/documents/1/export?format=csv").await;
    let header = |name: &str| export.headers()[name].to_str().unwrap().to_owned();
    (numbers, header("docreader-results"), header("content-disposition"))
}

#[tokio::test]
async fn results_stay_until_new_ones_are_complete() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    let id = app.insert("bytefield", &std::fs::read(fixture("bytefield.pdf")).unwrap()).await;
    sqlx::raw_sql("update documents set page_range = '1-4'").execute(&app.pool).await.unwrap();
    let worker = app.work(&[]);
    assert_eq!(app.finished(id).await.status, "done");
    app.settled().await;
    drop(worker);
    let whole = (vec![1, 2, 3, 4], "complete".to_owned(), "attachment; filename=\"document-1.csv\"".to_owned());
    assert_eq!(seen(&api).await, whole);

    // Queued, begun and canceled: nothing of it is seen.
    let queued = reprocess(&api, &json!({"pages": "5-40", "score_threshold": 0.2})).await;
    assert_eq!(
        (&queued["status"], &queued["run"], &queued["results_run"], &queued["page_range"], &queued["pages_done"]),
        (&json!("pending"), &json!(2), &json!(1), &json!("5-40"), &json!(0))
    );
    assert_eq!(seen(&api).await, whole);
    let worker = app.work(&[]);
    app.until(id, |d| d.pages_done > 1).await;
    assert_eq!(seen(&api).await, whole);
    assert_eq!(api.send(Method::POST, "/documents/1/cancel").await.status(), StatusCode::OK);
    app.settled().await;
    assert_eq!(seen(&api).await, whole);
    assert!(app.count("select count(*) from pages where run = 2").await > 0);

    // A run that fails leaves them, too, and what the canceled one had made is gone.
    reprocess(&api, &json!({"pages": "900"})).await;
    assert_eq!(app.until(id, |d| d.status == "failed").await.status, "failed");
    assert_eq!(seen(&api).await, whole);
    assert_eq!(app.count("select count(*) from pages where run = 2").await, 0);

    // One that ends well takes their place.
    reprocess(&api, &json!({"pages": "2-3", "crop_min_score": 1.0})).await;
    let done = api.get("/documents/1?wait=25").await;
    assert_eq!((&done["status"], &done["results_run"]), (&json!("done"), &json!(4)));
    let (numbers, complete, _) = seen(&api).await;
    assert_eq!((numbers, complete.as_str()), (vec![2, 3], "complete"));
    assert_eq!(app.count("select count(*) from pages").await, 2);
    drop(worker);
    for prefix in sqlx::query_scalar::<_, String>("select prefix from garbage").fetch_all(&app.pool).await.unwrap() {
        docreader::pipeline::remove_garbage(&app.pool, &app.storage, &prefix).await.unwrap();
    }
    let objects = app.storage.list("results/").await.unwrap();
    assert!(objects.iter().all(|key| key.contains("/run-4/")) && objects.len() == 4, "{objects:?}");
    let wrong = api.client.post(format!("{}/documents/1/reprocess", api.base)).json(&json!({"model": "none"}));
    api.problem(wrong.send().await.unwrap(), 409, "unknown_model").await;
    let wrong = api.client.post(format!("{}/documents/1/reprocess", api.base)).json(&json!({"page": "1"}));
    api.problem(wrong.send().await.unwrap(), 400, "invalid_form").await;
    app.finish().await;
}

#[tokio::test]
async fn unfinished_exports_say_so() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    let id = app.insert("pages", &pages(40)).await;
    let worker = app.work(&[]);
    app.until(id, |d| d.pages_done > 0).await;
    assert_eq!(api.send(Method::POST, "/documents/1/cancel").await.status(), StatusCode::OK);
    app.settled().await;
    drop(worker);
    let (numbers, complete, name) = seen(&api).await;
    assert!(!numbers.is_empty() && numbers.len() < 40);
    assert_eq!(
        (complete.as_str(), name.as_str()),
        ("unfinished", "attachment; filename=\"document-1.unfinished.csv\"")
    );
    assert_eq!(api.get("/documents/1/export?format=coco").await["info"]["complete"], false);
    app.finish().await;
}

#[tokio::test]
async fn a_page_that_fails_fails_alone() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    let id = app.insert("mixed", &two_bad_pages()).await;
    let worker = app.work(&[("RENDER_TIMEOUT_SECONDS", "1")]);
    assert_eq!(app.finished(id).await, DocumentState::done(4));
    let done = api.get("/documents/1").await;
    assert_eq!((&done["pages_failed"], &done["page_count"]), (&json!(2), &json!(4)));
    assert!(done["warning"].as_str().unwrap().starts_with("2 of 4 pages failed"), "{done}");
    let pages = api.get("/documents/1/pages").await;
    let numbers: Vec<&Value> = pages["pages"].as_array().unwrap().iter().map(|p| &p["number"]).collect();
    assert_eq!(numbers, [1, 4]);
    let failed: Vec<(&Value, &Value)> =
        pages["failed"].as_array().unwrap().iter().map(|p| (&p["number"], &p["code"])).collect();
    let (large, slow) = (json!("page_too_large"), json!("render_timeout"));
    assert_eq!(failed, [(&json!(2), &large), (&json!(3), &slow)]);
    assert_eq!(app.count("select count(*) from apalis.jobs where attempts = 1 and status = 'Done'").await, 1);
    // They are tried again where more is allowed; the good ones stay as they are.
    drop(worker);
    let first = app.count("select min(id) from pages").await;
    assert_eq!(api.send(Method::POST, "/documents/1/retry").await.status(), StatusCode::OK);
    let waiting = api.get("/documents/1").await;
    assert_eq!((&waiting["status"], &waiting["pages_done"]), (&json!("pending"), &json!(2)));
    let _worker = app.work(&[("RENDER_TIMEOUT_SECONDS", "1")]);
    assert_eq!(app.finished(id).await, DocumentState::done(4));
    assert_eq!(app.count("select count(*) from failed_pages").await, 2);
    assert_eq!(app.count("select min(id) from pages").await, first);
    app.finish().await;
}

#[tokio::test]
async fn a_failed_attempt_is_shown() {
    let app = TestApp::new().await;
    let allow = [("OUTBOUND_ALLOW", "127.0.0.1/32")];
    let api = Api::start(&app, &allow).await;
    let files = Stranger::start(|_, _| ("503 Service Unavailable".into(), b"no".to_vec())).await;
    let _worker = app.work(&allow);
    api.post_json("/documents", &json!({"url": format!("{}/a.pdf", files.url)})).await;
    let started = Instant::now();
    let waiting = loop {
        let document = api.get("/documents/1").await;
        if document["attempt"] == 3 && document["status"] == "pending" {
            break document;
        }
        assert!(started.elapsed() < PATIENCE, "{document}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(waiting["last_error"].as_str().unwrap().contains("503"), "{waiting}");
    assert!(waiting["next_attempt_at"].is_string(), "{waiting}");
    let listed = &api.get("/documents").await["documents"][0];
    assert_eq!((&listed["attempt"], &listed["last_error"]), (&waiting["attempt"], &waiting["last_error"]));
    app.finish().await;
}
