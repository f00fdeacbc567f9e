//! When an upload fails, nothing of it is left: no row, no job, no object.

use std::io::Write;
use std::net::TcpStream;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::create::{pdf_form, post, url};
use crate::common::{TestApp, sample};

async fn assert_nothing_is_left(app: &TestApp) {
    assert_eq!(app.count("select count(*) from documents").await, 0);
    assert_eq!(app.count("select count(*) from apalis.jobs").await, 0);
    assert_eq!(app.storage.list("").await.unwrap(), Vec::<String>::new());
    assert_eq!(app.count("select count(*) from uploads").await, 0);
}

#[tokio::test]
async fn a_transaction_that_fails() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    // The job cannot be written: neither may the row, then.
    sqlx::raw_sql("alter table apalis.jobs add constraint no_jobs check (false)").execute(&app.pool).await.unwrap();
    let response = post(&server, pdf_form("Hello", sample(), "a.pdf")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_nothing_is_left(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn a_file_that_is_too_large() {
    let app = TestApp::new().await;
    let server = app.serve(&[("MAX_UPLOAD_MB", "7")]).await;
    let response = post(&server, pdf_form("Hello", vec![7; 9 << 20], "a.pdf")).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body, json!({"detail": "The file is larger than the limit of 7340032 bytes (MAX_UPLOAD_MB)."}));
    assert_nothing_is_left(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn a_client_that_hangs_up() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    let host = url(&server).strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    for sent in [1000, 6 << 20] {
        let mut stream = TcpStream::connect(&host).unwrap();
        let head = "POST /api/create/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 99999999\r\n\r\n\
                    --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b'x'; sent]).unwrap();
        // The upload has begun once its key is taken; only then does hanging up prove anything.
        app.until_count("select count(*) from uploads", |uploads| uploads > 0).await;
        drop(stream);
        app.until_count("select count(*) from uploads", |uploads| uploads == 0).await;
        assert_nothing_is_left(&app).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn a_bucket_that_does_not_answer() {
    let mut app = TestApp::new().await;
    let server = app.serve(&[]).await;
    let ready = url(&server).replace("/api/create/", "/readyz");
    let answer = Client::new().get(&ready).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"database": "ok", "storage": "ok"}));
    app.s3 = None;
    let response = post(&server, pdf_form("Hello", sample(), "a.pdf")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.count("select count(*) from documents").await, 0);
    assert_eq!(app.count("select count(*) from apalis.jobs").await, 0);
    let answer = Client::new().get(&ready).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"database": "ok", "storage": "unreachable"}));
    let health = Client::new().get(ready.replace("readyz", "healthz")).send().await.unwrap();
    assert_eq!(health.status(), StatusCode::OK);
    app.abandon("there is no bucket any more");
}

#[tokio::test]
async fn sigterm_ends_the_server_cleanly() {
    let app = TestApp::new().await;
    let mut server = app.serve(&[]).await;
    // While somebody waits for a document, too.
    let id = app.insert("x", b"%PDF-").await;
    let waiting = url(&server).replace("/api/create/", &format!("/api/v1/documents/{id}?wait=2"));
    let waiting = tokio::spawn(async move { reqwest::get(waiting).await.unwrap().status() });
    let asked = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
        and query like '%from documents%'";
    app.until_count(asked, |queries| queries > 0).await;
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(waiting.await.unwrap(), StatusCode::OK);
    let status = server.exit().await;
    assert!(status.success() && !server.log().contains("panicked"), "{status}: {}", server.log());
    app.finish().await;
}
