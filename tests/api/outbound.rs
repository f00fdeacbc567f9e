//! Files at URLs, and webhooks.

use docreader::outbound::SigningKey;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::Api;
use super::create::pdf_form;
use crate::common::http::Stranger;
use crate::common::{TestApp, sample, skip};

const LOOPBACK: (&str, &str) = ("OUTBOUND_ALLOW", "127.0.0.1/32");
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test]
async fn a_file_at_a_url() {
    let app = TestApp::new().await;
    let files = Stranger::start(|_, asked| match asked.line.as_str() {
        "GET /old?x=1" => ("302 Found\r\nLocation: /files/new.pdf".into(), vec![]),
        _ => ("200 OK".into(), sample()),
    })
    .await;
    let (api, _worker) = (Api::start(&app, &[LOOPBACK]).await, app.work(&[LOOPBACK]));
    let url = format!("{}/old?x=1", files.url);
    let done = api.document(&json!({"url": url, "title": "From afar", "pages": "1"})).await;
    assert_eq!(
        (&done["status"], &done["title"], &done["source_url"]),
        (&json!("done"), &json!("From afar"), &json!(url))
    );
    assert_eq!(done["sha256"], hex::encode(<sha2::Sha256 as sha2::Digest>::digest(sample())));
    assert_eq!(files.asked().len(), 2);
    assert!(files.asked()[0].headers["user-agent"].starts_with("docreader/"));
    // It is in the bucket now, so nobody is asked again.
    let file = app.folder.path().join("copy");
    let key: String = sqlx::query_scalar("select object_key from documents").fetch_one(&app.pool).await.unwrap();
    assert!(key.starts_with("media/old_"));
    app.storage.fetch(&docreader::storage::ObjectKey::parse(key).unwrap(), &file, 1 << 30).await.unwrap();
    assert_eq!(std::fs::read(file).unwrap(), sample());
    api.send(Method::POST, "/documents/1/reprocess").await;
    assert_eq!(api.get("/documents/1?wait=25").await["status"], "done");
    assert_eq!(files.asked().len(), 2);
    // Its name is the title if there is none.
    let named = api.post_json("/documents", &json!({"url": format!("{}/a/My%20file.pdf", files.url)})).await;
    assert_eq!(named.json::<Value>().await.unwrap()["title"], "My_file.pdf");
    assert_eq!(api.get("/documents/2?wait=25").await["status"], "done");
    app.finish().await;
}

#[tokio::test]
async fn urls_that_give_no_file() {
    let app = TestApp::new().await;
    let elsewhere = Stranger::start(|_, _| ("200 OK".into(), sample())).await;
    let target = elsewhere.url.replace("127.0.0.1", "127.0.0.2");
    let files = Stranger::start(move |_, asked| match asked.line.as_str() {
        "GET /large" => ("200 OK".into(), vec![7; 2 << 20]),
        "GET /empty" => ("200 OK".into(), vec![]),
        "GET /away" => (format!("302 Found\r\nLocation: {target}/secret"), vec![]),
        "GET /round" => ("302 Found\r\nLocation: /round".into(), vec![]),
        _ => ("404 Not Found".into(), b"no".to_vec()),
    })
    .await;
    let settings = [LOOPBACK, ("MAX_UPLOAD_MB", "1")];
    let (api, _worker) = (Api::start(&app, &settings).await, app.work(&settings));
    let port = files.url.rsplit(':').next().unwrap();
    for (url, code) in [
        (format!("{}/gone", files.url), "fetch_failed"),
        (format!("{}/large", files.url), "file_too_large"),
        (format!("{}/empty", files.url), "empty_file"),
        // Allowed is 127.0.0.1 only, whatever the way to another address.
        (format!("{}/away", files.url), "url_refused"),
        (format!("{}/round", files.url), "url_refused"),
        (format!("http://ip6-localhost:{port}/x"), "url_refused"),
    ] {
        let over = api.document(&json!({"url": url})).await;
        // A machine without that name cannot refuse its address.
        let unknown = url.contains("ip6") && over["status"] == "pending";
        if unknown {
            skip::skip("the name ip6-localhost is unknown here");
        }
        assert!(unknown || (over["status"] == "failed" && over["error"]["code"] == code), "{url}: {over}");
    }
    assert!(elsewhere.asked().is_empty());
    for url in ["http://127.0.0.2/", "http://[::1]/", "http://a:b@example.com/", "ftp://example.com/a.pdf"] {
        let refused = api.post_json("/documents", &json!({"url": url})).await;
        api.problem(refused, 400, "invalid_url").await;
    }
    assert_eq!(app.storage.list("").await.unwrap(), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test]
async fn a_webhook_is_signed_and_tried_again() {
    let app = TestApp::new().await;
    let receiver = Stranger::start(|n, _| (if n == 0 { "500 Oops" } else { "204 No Content" }.into(), vec![])).await;
    let settings = [LOOPBACK, ("WEBHOOK_SECRET", SECRET)];
    let (api, _worker) = (Api::start(&app, &settings).await, app.work(&settings));
    let form = pdf_form("Hello", sample(), "a.pdf").text("callback_url", format!("{}/hook", receiver.url));
    assert_eq!(api.upload(form, None).await.status(), StatusCode::ACCEPTED);
    let asked = receiver.asked_times(2).await;
    let key: SigningKey = SECRET.parse().unwrap();
    for message in &asked {
        assert_eq!(message.line, "POST /hook");
        let (id, time) = (&message.headers["webhook-id"], message.headers["webhook-timestamp"].parse().unwrap());
        assert_eq!(message.headers["webhook-signature"], key.sign(id, time, &message.body));
        assert!((time::OffsetDateTime::now_utc().unix_timestamp() - time).abs() < 60);
    }
    assert_eq!(asked[0].headers["webhook-id"], asked[1].headers["webhook-id"]);
    let body: Value = serde_json::from_str(&asked[1].body).unwrap();
    assert_eq!(body["type"], "document.done");
    assert_eq!(
        (&body["data"]["id"], &body["data"]["pages_done"], &body["data"]["error"]),
        (&json!(1), &json!(1), &Value::Null)
    );
    let started = std::time::Instant::now();
    let delivery = loop {
        let mut deliveries = api.get("/documents/1/deliveries").await;
        let delivery = deliveries["deliveries"][0].take();
        if delivery["status"] == "delivered" {
            break delivery;
        }
        assert!(started.elapsed() < crate::common::PATIENCE, "{delivery}");
    };
    assert_eq!((&delivery["attempts"], &delivery["response_status"]), (&json!(2), &json!(204)));
    assert_eq!(api.get("/queue").await["webhooks"], 0);
    app.finish().await;
}

#[tokio::test]
async fn a_webhook_that_is_not_wanted() {
    let app = TestApp::new().await;
    let receiver = Stranger::start(|_, _| ("410 Gone".into(), vec![])).await;
    let plain = Api::start(&app, &[LOOPBACK]).await;
    let body = json!({"url": "http://127.0.0.1:1/", "callback_url": receiver.url});
    plain.problem(plain.post_json("/documents", &body).await, 409, "callbacks_disabled").await;
    let settings = [LOOPBACK, ("WEBHOOK_SECRET", SECRET)];
    let (api, _worker) = (Api::start(&app, &settings).await, app.work(&settings));
    let inside = json!({"url": "https://example.com", "callback_url": "http://10.0.0.1/"});
    api.problem(api.post_json("/documents", &inside).await, 400, "invalid_url").await;

    let form = pdf_form("Hello", b"no PDF".to_vec(), "a.pdf").text("callback_url", receiver.url.clone());
    api.upload(form, None).await;
    let asked = receiver.asked_times(1).await;
    let body: Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!((&body["type"], &body["data"]["error"]["code"]), (&json!("document.failed"), &json!("not_a_pdf")));
    let started = std::time::Instant::now();
    loop {
        let deliveries = api.get("/documents/1/deliveries").await;
        if deliveries["deliveries"][0]["status"] == "failed" {
            assert_eq!(deliveries["deliveries"][0]["response_status"], 410);
            break;
        }
        assert!(started.elapsed() < crate::common::PATIENCE, "{deliveries}");
    }
    assert_eq!(receiver.asked().len(), 1);
    app.finish().await;
}
