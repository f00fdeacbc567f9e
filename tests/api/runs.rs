//! Runs: what is processed again, what fails in part, and what is tried again.

use std::time::{Duration, Instant};

use docreader::documents::{self, Run};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::Api;
use crate::common::http::Stranger;
use crate::common::pdf::{pages, two_bad_pages};
use crate::common::{DocumentState, PATIENCE, TestApp, fixture, sample};

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

    // One that ends well takes their place, and they are kept for comparing.
    reprocess(&api, &json!({"pages": "2-3", "crop_min_score": 1.0})).await;
    let done = api.get("/documents/1?wait=25").await;
    assert_eq!((&done["status"], &done["results_run"]), (&json!("done"), &json!(4)));
    let (numbers, complete, _) = seen(&api).await;
    assert_eq!((numbers, complete.as_str()), (vec![2, 3], "complete"));
    let runs = "select string_agg(run || ':' || number, ' ' order by run, number) from pages";
    let kept: String = sqlx::query_scalar(runs).fetch_one(&app.pool).await.unwrap();
    assert_eq!(kept, "1:1 1:2 1:3 1:4 4:2 4:3");
    app.settled().await;
    drop(worker);
    remove_garbage(&app).await;
    let objects = app.storage.list("results/").await.unwrap();
    let (new, old): (Vec<_>, Vec<_>) = objects.iter().partition(|key| key.contains("/run-4/"));
    assert_eq!(new.len(), 6, "{new:?}");
    assert!(old.len() >= 12 && old.iter().all(|key| !key.contains("/run-")), "{old:?}");
    let wrong = api.client.post(format!("{}/documents/1/reprocess", api.base)).json(&json!({"model": "none"}));
    api.problem(wrong.send().await.unwrap(), 409, "unknown_model").await;
    let wrong = api.client.post(format!("{}/documents/1/reprocess", api.base)).json(&json!({"page": "1"}));
    api.problem(wrong.send().await.unwrap(), 400, "invalid_form").await;
    app.finish().await;
}

async fn remove_garbage(app: &TestApp) {
    for prefix in sqlx::query_scalar::<_, String>("select prefix from garbage").fetch_all(&app.pool).await.unwrap() {
        docreader::pipeline::remove_garbage(&app.pool, &app.storage, &prefix).await.unwrap();
    }
}

/// Number and threshold of the run that is shown and of the one before; both have the default model.
async fn shown_and_earlier(app: &TestApp, id: i64) -> [Option<(i32, Option<f32>)>; 2] {
    let shown = documents::shown_run(&app.pool, id).await.unwrap();
    let earlier = documents::earlier_run(&app.pool, id).await.unwrap();
    [shown, earlier].map(|run| {
        run.map(|Run { run, model, score_threshold, .. }| {
            assert_eq!(model, "default");
            (run, score_threshold)
        })
    })
}

/// Page 1 of the earlier run, and the status of each of its objects at /results/….
async fn earlier_page(app: &TestApp, api: &Api, id: i64) -> (Vec<String>, Vec<StatusCode>) {
    let run = documents::earlier_run(&app.pool, id).await.unwrap().unwrap();
    let page = documents::pages_of_run(&app.pool, id, &run, Some(1)).await.unwrap().pop().unwrap();
    let crops = documents::found(&app.pool, &[page.id]).await.unwrap().into_iter().filter_map(|row| row.crop_key);
    let keys: Vec<String> =
        [page.image_key, page.thumbnail_key, Some(page.overlay_key)].into_iter().flatten().chain(crops).collect();
    assert!(keys.len() > 3, "{keys:?}");
    let mut statuses = vec![];
    for key in &keys {
        statuses.push(object(api, key).await);
    }
    (keys, statuses)
}

async fn object(api: &Api, key: &str) -> StatusCode {
    let url = format!("{}/{key}", api.base.trim_end_matches("/api/v1"));
    api.client.get(url).send().await.unwrap().status()
}

#[tokio::test]
async fn the_run_before_is_kept_for_comparing() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    let id = app.insert("handbook", &sample()).await;
    let _worker = app.work(&[("SCORE_THRESHOLD", "0.4")]);
    assert_eq!(app.finished(id).await, DocumentState::done(1));
    let first = Some((1, Some(0.4)));
    assert_eq!(shown_and_earlier(&app, id).await, [first, None]);
    reprocess(&api, &json!({"score_threshold": 0.8})).await;
    assert_eq!(app.until(id, |d| d.status == "done").await, DocumentState::done(1));
    let second = Some((2, Some(0.8)));
    assert_eq!(shown_and_earlier(&app, id).await, [second, first]);
    let (old, statuses) = earlier_page(&app, &api, id).await;
    assert!(statuses.iter().all(|&status| status == StatusCode::OK), "{statuses:?}");
    assert_eq!(api.get("/documents/1/pages").await["pages"].as_array().unwrap().len(), 1);

    // A run that comes to nothing leaves both, and so does one until it is complete.
    reprocess(&api, &json!({"pages": "900"})).await;
    app.until(id, |d| d.status == "failed").await;
    assert_eq!(shown_and_earlier(&app, id).await, [second, first]);
    sqlx::raw_sql("insert into paused_queues values ('documents')").execute(&app.pool).await.unwrap();
    reprocess(&api, &json!({"pages": "1", "score_threshold": 0.5})).await;
    assert_eq!(shown_and_earlier(&app, id).await, [second, first]);
    remove_garbage(&app).await;
    assert_eq!(object(&api, &old[0]).await, StatusCode::OK);

    // The next takes the place of the second, and that the place of the first.
    sqlx::raw_sql("delete from paused_queues").execute(&app.pool).await.unwrap();
    assert_eq!(app.until(id, |d| d.status == "done").await, DocumentState::done(1));
    assert_eq!(shown_and_earlier(&app, id).await, [Some((4, Some(0.5))), second]);
    remove_garbage(&app).await;
    let objects = app.storage.list("results/").await.unwrap();
    assert!(objects.iter().all(|key| key.contains("/run-2/") || key.contains("/run-4/")), "{objects:?}");
    for key in &old {
        assert_eq!(object(&api, key).await, StatusCode::NOT_FOUND, "{key}");
    }
    let (_, statuses) = earlier_page(&app, &api, id).await;
    assert!(statuses.iter().all(|&status| status == StatusCode::OK), "{statuses:?}");
    app.assert_sound().await;

    assert_eq!(api.send(Method::DELETE, "/documents/1").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(app.storage.list("").await.unwrap(), Vec::<String>::new());
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
    assert_eq!(shown_and_earlier(&app, id).await.map(|run| run.map(|(run, _)| run)), [Some(1), None]);
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
