//! Whole answers of `/api/v1`, one of each kind, and whole exports, of one document with results that are written here.
//! `INSTA_UPDATE=always cargo test --test api snapshots` accepts what has changed; look at the difference in git.

use docreader::documents;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::client::Api;
use crate::common::TestApp;

/// Two pages and three regions, one with a mask and a crop.
const RESULTS: &str = "
    insert into models (name, sha256, classes) values ('default', repeat('ab', 32), '{text,title}');
    update documents set status = 'processing', model_id = 1, page_count = 2, pages_in_file = 7, page_range = '2-3',
        started_at = now(), size = 5, sha256 = repeat('cd', 32), score_threshold = 0.25 where id = 1;
    insert into pages (document_id, model_id, number, width_pt, height_pt, width_px, height_px, overlay_key, image_key, thumbnail_key,
        render_ms, detect_ms)
    select 1, 1, n, 100, 200, 150, 300, format('results/1/run-1/page-%s/overlay.png', n), format('results/1/run-1/page-%s/page.png', n),
        case when n = 2 then 'results/1/run-1/page-2/thumbnail.jpg' end, 5, 80
    from generate_series(2, 3) n;
    insert into detections (page_id, ordinal, class_id, label, score, x0_pt, y0_pt, x1_pt, y1_pt, x0_px, y0_px, x1_px, y1_px, mask_rle, crop_key)
    values (1, 0, 1, 'title', 0.95, 10, 20, 90, 40, 15, 30, 135, 60, '{\"size\": [300, 150], \"counts\": \"R2_9\"}',
            'results/1/run-1/page-2/crop-0.png'),
           (1, 1, 0, 'text', 0.5, 10, 50.5, 90, 190, 15, 75.75, 135, 285, null, null),
           (2, 0, 0, 'text', 0.75, 0, 0, 100, 200, 0, 0, 150, 300, null, null)";

/// The second one waits, the third has failed.
const OTHERS: &str = "
    update documents set pages_done = 2 where id = 1;
    update documents set status = 'failed', error = 'The file is empty (0 bytes).', error_code = 'empty_file', finished_at = now() where id = 3;
    update documents set created_at = '2026-01-02T03:04:05Z'";

const JOB_DONE: &str = "update apalis.jobs set status = 'Done', done_at = now() where job_document(job) = 1";

/// Durations are those of this run.
fn mask_seconds(json: &mut Value) {
    match json {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| match value.is_number() {
            true if name.ends_with("_seconds") => *value = json!("[seconds]"),
            _ => mask_seconds(value),
        }),
        Value::Array(items) => items.iter_mut().for_each(mask_seconds),
        _ => {}
    }
}

/// So are times.
fn mask_times(text: &str) -> String {
    const TIME: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let (mut out, mut rest) = (String::new(), text);
    while let Some(letter) = rest.chars().next() {
        let is_time = rest.len() >= TIME.len()
            && rest.bytes().zip(TIME).all(|(b, t)| if *t == b'd' { b.is_ascii_digit() } else { b == *t });
        if is_time {
            out += "[time]";
            rest = rest[TIME.len()..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == 'Z');
        } else {
            out.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    out
}

/// Status, type and body, JSON indented.
async fn shown(response: Response) -> String {
    let status = response.status();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let text = response.text().await.unwrap();
    let body = match serde_json::from_str::<Value>(&text) {
        Ok(mut json) if kind.contains("json") => {
            mask_seconds(&mut json);
            serde_json::to_string_pretty(&json).unwrap()
        }
        _ => text,
    };
    mask_times(&format!("{status}\n{kind}\n\n{body}"))
}

async fn written(app: &TestApp) {
    for title in ["Report", "Waits", "Failed"] {
        app.insert(title, b"%PDF-").await;
    }
    sqlx::raw_sql(RESULTS).execute(&app.pool).await.unwrap();
    sqlx::raw_sql(OTHERS).execute(&app.pool).await.unwrap();
    documents::finish(&app.pool, 1, 1, 1).await.unwrap();
    sqlx::raw_sql(JOB_DONE).execute(&app.pool).await.unwrap();
}

#[tokio::test]
async fn answers() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[("AWS_S3_CUSTOM_DOMAIN", "files.example.com")]).await;
    written(&app).await;
    for (name, path) in [
        ("document", "/documents/1"),
        ("document_waiting", "/documents/2"),
        ("document_failed", "/documents/3"),
        ("documents", "/documents?limit=2"),
        ("pages", "/documents/1/pages"),
        ("page", "/documents/1/pages/2"),
        ("detections", "/documents/1/pages/2/detections"),
        ("deliveries", "/documents/1/deliveries"),
        ("events", "/documents/1/events"),
        ("models", "/models"),
        ("queue", "/queue"),
        ("problem_not_found", "/documents/7"),
        ("problem_parameter", "/documents?limit=0"),
    ] {
        insta::assert_snapshot!(name, shown(api.send(Method::GET, path).await).await);
    }
    let conflict = api.send(Method::POST, "/documents/1/cancel").await;
    insta::assert_snapshot!("problem_conflict", shown(conflict).await);
    let body = api.post_json("/documents", &json!({"url": "ftp://example.com/a.pdf"})).await;
    insta::assert_snapshot!("problem_url", shown(body).await);
    app.finish().await;
}

#[tokio::test]
async fn exports() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[("AWS_S3_CUSTOM_DOMAIN", "files.example.com")]).await;
    written(&app).await;
    for format in ["coco", "csv", "jsonl", "hocr"] {
        let file = api.send(Method::GET, &format!("/documents/1/export?format={format}")).await;
        insta::assert_snapshot!(format!("export_{format}"), shown(file).await);
    }
    // The whole is a zip of such files.
    for format in ["labelme", "pagexml"] {
        let file = api.send(Method::GET, &format!("/documents/1/export?format={format}&page=2")).await;
        insta::assert_snapshot!(format!("export_{format}"), shown(file).await);
    }
    app.finish().await;
}
