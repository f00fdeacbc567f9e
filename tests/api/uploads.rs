//! Uploads straight to the bucket, and documents that ask for a model.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::Api;
use super::create::pdf_form;
use crate::common::{TestApp, sample};

#[tokio::test]
async fn straight_to_the_bucket() {
    let app = TestApp::new().await;
    let (api, _worker) = (Api::start(&app, &[]).await, app.work(&[]));
    let begun = api.post_json("/uploads", &json!({"file_name": "big file.pdf"})).await;
    assert_eq!(begun.status(), StatusCode::CREATED);
    let begun: Value = begun.json().await.unwrap();
    let wish = json!({"upload": begun["id"], "title": "Direct"});
    api.problem(api.post_json("/documents", &wish).await, 400, "missing_file").await;
    assert_eq!(begun["method"], "PUT");
    let put = api.client.put(begun["url"].as_str().unwrap()).body(sample()).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::OK, "{}", put.text().await.unwrap());

    let with_key =
        || api.client.post(format!("{}/documents", api.base)).header("Idempotency-Key", "k").json(&wish).send();
    let first: Value = with_key().await.unwrap().json().await.unwrap();
    assert_eq!((&first["title"], &first["size"]), (&json!("Direct"), &json!(sample().len())));
    assert!(first["file"].as_str().unwrap().contains("/media/big_file_"));
    let again: Value = with_key().await.unwrap().json().await.unwrap();
    assert_eq!(first["id"], again["id"]);
    api.problem(api.post_json("/documents", &wish).await, 404, "unknown_upload").await;

    let done = api.get("/documents/1?wait=25").await;
    assert_eq!(done["status"], "done");
    assert_eq!(done["sha256"], hex::encode(<sha2::Sha256 as sha2::Digest>::digest(sample())));
    app.finish().await;
}

#[tokio::test]
async fn uploads_that_become_nothing_are_swept_away() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[("MAX_UPLOAD_MB", "1")]).await;
    let mut ids = vec![];
    for size in [10, 2 << 20] {
        let begun: Value = api.post_json("/uploads", &json!({"file_name": "a.pdf"})).await.json().await.unwrap();
        let put = api.client.put(begun["url"].as_str().unwrap()).body(vec![7; size]).send().await.unwrap();
        assert_eq!(put.status(), StatusCode::OK);
        ids.push(begun["id"].clone());
    }
    // One is too large to become a document.
    let large = api.post_json("/documents", &json!({"upload": ids[1]})).await;
    api.problem(large, 413, "file_too_large").await;
    assert_eq!(app.storage.list("").await.unwrap().len(), 1);
    // The other is never claimed.
    sqlx::raw_sql("update uploads set expires_at = now()").execute(&app.pool).await.unwrap();
    api.problem(api.post_json("/documents", &json!({"upload": ids[0]})).await, 404, "unknown_upload").await;
    docreader::pipeline::sweep(&app.pool, &app.storage).await.unwrap();
    app.assert_sound().await;
    sqlx::raw_sql("update garbage set since = since - interval '2 minutes'").execute(&app.pool).await.unwrap();
    docreader::pipeline::sweep(&app.pool, &app.storage).await.unwrap();
    assert_eq!(app.storage.list("").await.unwrap(), Vec::<String>::new());
    for table in ["select count(*) from uploads", "select count(*) from garbage", "select count(*) from documents"] {
        assert_eq!(app.count(table).await, 0);
    }
    app.finish().await;
}

#[tokio::test]
async fn the_audit_finds_what_belongs_to_nothing() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    super::create::post(&server, pdf_form("one", sample(), "one.pdf")).await;
    super::create::post(&server, pdf_form("two", sample(), "two.pdf")).await;
    app.assert_sound().await;
    sqlx::raw_sql("delete from apalis.jobs where idempotency_key = 'document:1'; delete from documents where id = 2")
        .execute(&app.pool)
        .await
        .unwrap();
    app.storage.delete(&docreader::storage::ObjectKey::parse("media/one.pdf").unwrap()).await.unwrap();
    let found = docreader::queue::audit(&app.pool, &app.storage).await.unwrap();
    let job: String = sqlx::query_scalar("select id from apalis.jobs").fetch_one(&app.pool).await.unwrap();
    let found: Vec<(&str, &str)> = found.iter().map(|f| (f.kind, f.what.as_str())).collect();
    assert_eq!(
        found,
        [
            ("document without job", "1"),
            ("job without document", job.as_str()),
            ("object without document", "media/two.pdf"),
            ("document without file", "media/one.pdf")
        ]
    );
    let mut check = app.start(&["check"], &[]);
    assert_eq!(check.exit().await.code(), Some(1));
    assert!(
        check.log().contains("object without document") && check.log().contains("media/two.pdf"),
        "{}",
        check.log()
    );
    app.abandon("the audit has found what is left here on purpose");
}

#[tokio::test]
async fn a_document_asks_for_a_model() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    let form = |model: &str| pdf_form("Hello", sample(), "a.pdf").text("model", model.to_owned());
    api.problem(api.upload(form("default"), None).await, 409, "unknown_model").await;
    let _worker = app.work(&[]);
    let started = std::time::Instant::now();
    while api.get("/models").await["models"] == json!([]) {
        assert!(started.elapsed() < crate::common::PATIENCE);
    }
    // A model that some other worker has, which is away.
    sqlx::raw_sql("insert into models (name, sha256, classes) values ('other', repeat('0', 64), '{text}')")
        .execute(&app.pool)
        .await
        .unwrap();
    assert_eq!(api.upload(form("other"), None).await.status(), StatusCode::ACCEPTED);
    assert_eq!(api.upload(form("default"), None).await.status(), StatusCode::ACCEPTED);
    let done = api.get("/documents/2?wait=25").await;
    assert_eq!((&done["status"], &done["model"]["name"]), (&json!("done"), &json!("default")));
    let waits = api.get("/documents/1").await;
    assert_eq!(
        (&waits["status"], &waits["wanted_model"], &waits["queue_position"]),
        (&json!("pending"), &json!("other"), &json!(1))
    );
    assert_eq!(api.get("/queue").await["ready"], 1);
    assert_eq!(api.send(Method::POST, "/documents/1/cancel").await.status(), StatusCode::OK);
    assert_eq!(app.count("select count(*) from apalis.jobs where status = 'Pending'").await, 0);
    app.finish().await;
}
