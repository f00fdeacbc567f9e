//! `/api/create/` in the plain cases.

use docreader::storage::ObjectKey;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use crate::common::{App, TestApp, sample};

pub fn url(server: &App) -> &str {
    server.url.as_deref().unwrap()
}

pub fn pdf_form(title: &str, bytes: Vec<u8>, name: &str) -> Form {
    let part = Part::bytes(bytes).file_name(name.to_owned()).mime_str("application/pdf").unwrap();
    Form::new().text("title", title.to_owned()).part("file", part)
}

pub async fn post(server: &App, form: Form) -> Response {
    Client::new().post(url(server)).multipart(form).send().await.unwrap()
}

async fn body(response: Response) -> Value {
    response.json().await.unwrap()
}

#[tokio::test]
async fn an_upload_is_a_row_a_job_and_an_object() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    let response = post(&server, pdf_form("  Hello ", sample(), "my file (1).pdf")).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let headers = response.headers().clone();
    for (name, value) in [
        ("content-type", "application/json"),
        ("vary", "Accept, Cookie"),
        ("allow", "GET, POST, HEAD, OPTIONS"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(headers[name], value);
    }
    let key = "media/my_file_1.pdf";
    let file = app.storage.url(key);
    let text = response.text().await.unwrap();
    assert_eq!(text, format!("{{\"title\":\"Hello\",\"file\":\"{file}\"}}"));

    let row: (String, String, i64, String, String) =
        sqlx::query_as("select title, object_key, size, sha256, status::text from documents")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    let sha256 = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(sample()));
    assert_eq!(row, ("Hello".into(), key.into(), sample().len() as i64, sha256, "pending".into()));
    let job: (String, Value, i32) =
        sqlx::query_as("select status, convert_from(job, 'UTF8')::jsonb, max_attempts from apalis.jobs")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    assert_eq!(job, ("Pending".into(), json!({"document_id": 1}), 5));
    let copy = app.folder.path().join("copy");
    app.storage.fetch(&ObjectKey::parse(key).unwrap(), &copy, 1 << 30).await.unwrap();
    assert_eq!(std::fs::read(copy).unwrap(), sample());

    let listed = Client::new().get(url(&server)).send().await.unwrap();
    assert_eq!(listed.status(), StatusCode::OK);
    assert_eq!(body(listed).await, json!([{"title": "Hello", "file": file}]));
    let head = Client::new().head(url(&server)).send().await.unwrap();
    assert_eq!((head.status(), head.headers()["content-type"].to_str().unwrap()), (StatusCode::OK, "application/json"));
    app.finish().await;
}

#[tokio::test]
async fn a_name_that_is_taken_gets_a_suffix() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    let posts = (0..8).map(|i| post(&server, pdf_form(&format!("t{i}"), sample(), "a.pdf")));
    let mut keys = vec![];
    for response in futures_util::future::join_all(posts).await {
        assert_eq!(response.status(), StatusCode::CREATED);
        let file = body(response).await["file"].as_str().unwrap().to_owned();
        keys.push(file.rsplit('/').next().unwrap().to_owned());
    }
    keys.sort();
    assert_eq!(keys.iter().filter(|k| *k == "a.pdf").count(), 1);
    assert!(keys.iter().all(|k| k == "a.pdf" || (k.len() == 13 && k.starts_with("a_"))), "{keys:?}");
    keys.dedup();
    assert_eq!(keys.len(), 8);
    assert_eq!(app.storage.list("media/").await.unwrap().len(), 8);
    app.finish().await;
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_said_for_all_fields() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    let file = || Part::bytes(sample()).file_name("a.pdf");
    let empty = Part::bytes(vec![]).file_name("a.pdf");
    let not_a_file = "The submitted data was not a file. Check the encoding type on the form.";
    for (form, expected) in [
        (Form::new().part("file", file()), json!({"title": ["This field is required."]})),
        (Form::new().text("title", "x"), json!({"file": ["No file was submitted."]})),
        (
            Form::new().text("foo", "x"),
            json!({"title": ["This field is required."], "file": ["No file was submitted."]}),
        ),
        (
            Form::new().text("title", "  ").part("file", empty),
            json!({"title": ["This field may not be blank."], "file": ["The submitted file is empty."]}),
        ),
        (
            Form::new().text("title", "a".repeat(201)).part("file", file()),
            json!({"title": ["Ensure this field has no more than 200 characters."]}),
        ),
        (Form::new().text("title", "x").text("file", "abc"), json!({"file": [not_a_file]})),
        (
            Form::new().text("title", "x").part("file", file().file_name("n".repeat(101))),
            json!({"file": ["Ensure this filename has at most 100 characters (it has 101)."]}),
        ),
    ] {
        let response = post(&server, form).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(body(response).await, expected);
    }
    assert_eq!(app.storage.list("").await.unwrap(), Vec::<String>::new());
    assert_eq!(app.count("select count(*) from uploads").await, 0);

    let plain = Client::new().post(url(&server)).header("content-type", "text/plain").body("x").send().await.unwrap();
    assert_eq!(plain.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(body(plain).await, json!({"detail": "Unsupported media type \"text/plain\" in request."}));
    let put = Client::new().put(url(&server)).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(body(put).await, json!({"detail": "Method \"PUT\" not allowed."}));
    assert_eq!(Client::new().get(format!("{}x", url(&server))).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    app.finish().await;
}

#[tokio::test]
async fn the_last_of_several_fields_counts() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    let part = |name: &str| Part::bytes(sample()).file_name(name.to_owned());
    let form =
        Form::new().text("title", "one").part("file", part("a.pdf")).part("file", part("b.pdf")).text("title", "two");
    let response = post(&server, form).await;
    assert_eq!(body(response).await, json!({"title": "two", "file": app.storage.url("media/b.pdf")}));
    assert_eq!(app.storage.list("").await.unwrap(), ["media/b.pdf"]);
    assert_eq!(app.count("select count(*) from uploads").await, 1);
    app.finish().await;
}

#[tokio::test]
async fn a_large_file_is_sent_in_parts() {
    let app = TestApp::new().await;
    let server = app.serve(&[("MAX_UPLOAD_MB", "16")]).await;
    let large: Vec<u8> = (0..12 << 20).map(|i: u32| (i / 7 % 251) as u8).collect();
    let response = post(&server, pdf_form("large", large.clone(), "large.pdf")).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let copy = app.folder.path().join("copy");
    app.storage.fetch(&ObjectKey::parse("media/large.pdf").unwrap(), &copy, 1 << 30).await.unwrap();
    assert!(std::fs::read(copy).unwrap() == large);
    let stored: String = sqlx::query_scalar("select sha256 from documents").fetch_one(&app.pool).await.unwrap();
    assert_eq!(stored, hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&large)));
    app.finish().await;
}

#[tokio::test]
async fn plain_sql_queues_too() {
    let app = TestApp::new().await;
    let id = app.insert("by hand", &sample()).await;
    let key: String = sqlx::query_scalar("select idempotency_key from apalis.jobs").fetch_one(&app.pool).await.unwrap();
    assert_eq!(key, format!("document:{id}"));
    app.finish().await;
}
