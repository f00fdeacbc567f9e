//! `/api/v1`.

use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::Api;
use super::create::pdf_form;
use crate::common::{DocumentState, TestApp, fixture, sample};

#[tokio::test]
async fn from_upload_to_results() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    let response = api.upload(pdf_form("Handbook", sample(), "a.pdf").text("priority", "7"), None).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["location"], "/api/v1/documents/1");
    let document: Value = response.json().await.unwrap();
    assert_eq!(
        (&document["status"], &document["queue_position"], &document["priority"]),
        (&json!("pending"), &json!(1), &json!(7))
    );
    assert_eq!(api.get("/queue").await["ready"], 1);

    let waiting = api.get("/documents/1?wait=1").await;
    assert_eq!(waiting["status"], "pending", "nobody works yet");
    let _worker = app.work(&[]);
    let done = api.get("/documents/1?wait=25").await;
    assert_eq!((&done["status"], &done["pages_done"], &done["error"]), (&json!("done"), &json!(1), &Value::Null));
    assert_eq!(done["model"]["name"], "default");
    assert!(done["finished_at"].as_str().unwrap() > done["started_at"].as_str().unwrap());

    let page = &api.get("/documents/1/pages").await["pages"][0];
    let (width, height) = (page["pixels"][0].as_f64().unwrap(), page["pixels"][1].as_f64().unwrap());
    let found = api.get("/documents/1/pages/1/detections").await;
    let found = found["detections"].as_array().unwrap();
    assert_eq!(page["detections"], found.len());
    for d in found {
        let (pixels, ratio) = (&d["box"]["pixels"], &d["box"]["ratio"]);
        assert!((ratio[2].as_f64().unwrap() * width - pixels[2].as_f64().unwrap()).abs() < 0.01);
        assert!((ratio[3].as_f64().unwrap() * height - pixels[3].as_f64().unwrap()).abs() < 0.01);
        assert_eq!(d["crop"].is_string(), d["score"].as_f64() >= Some(0.9));
    }
    for (picture, wanted) in
        [("image", Some(width)), ("overlay", Some(width)), ("thumbnail", Some(200.0)), ("crops/0", None)]
    {
        let redirect = api.send(Method::GET, &format!("/documents/1/pages/1/{picture}")).await;
        assert_eq!(redirect.status(), StatusCode::FOUND, "{picture}");
        let bytes =
            reqwest::get(redirect.headers()["location"].to_str().unwrap()).await.unwrap().bytes().await.unwrap();
        let image = image::load_from_memory(&bytes).unwrap();
        assert!(wanted.is_none_or(|wanted| f64::from(image.width()) == wanted), "{picture}");
    }

    let coco = api.get("/documents/1/export?format=coco").await;
    assert_eq!(coco["annotations"].as_array().unwrap().len(), found.len());
    assert_eq!(coco["categories"][1], json!({"id": 2, "name": "title"}));
    assert_eq!(coco["images"][0]["width"], width as i64);
    assert_eq!(coco["annotations"][0]["segmentation"], found[0]["mask_rle"]);
    let csv = api.send(Method::GET, "/documents/1/export?format=csv").await.text().await.unwrap();
    assert_eq!(csv.lines().count(), found.len() + 1);
    let jsonl = api.send(Method::GET, "/documents/1/export?format=jsonl").await.text().await.unwrap();
    let lines: Vec<Value> = jsonl.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), found.len());
    assert_eq!(lines[0]["box_px"], found[0]["box"]["pixels"]);

    let labelme = api.get("/documents/1/export?format=labelme&page=1").await;
    assert_eq!(labelme["shapes"][0]["points"][1][0], found[0]["box"]["pixels"][2]);
    assert_eq!(
        (&labelme["imageWidth"], &labelme["shapes"][0]["shape_type"]),
        (&json!(width as i64), &json!("rectangle"))
    );
    for (format, name) in [("labelme", "page-1.json"), ("pagexml", "page-1.xml")] {
        let whole = api.send(Method::GET, &format!("/documents/1/export?format={format}")).await;
        assert_eq!(whole.headers()["content-type"], "application/zip");
        let zip = zip::ZipArchive::new(std::io::Cursor::new(whole.bytes().await.unwrap())).unwrap();
        assert_eq!(zip.file_names().map(|n| n.unwrap().into_owned()).collect::<Vec<_>>(), [name]);
    }
    let xml = api.send(Method::GET, "/documents/1/export?format=pagexml&page=1").await.text().await.unwrap();
    assert_eq!(xml.matches("<Coords points=").count(), found.len());
    let hocr = api.send(Method::GET, "/documents/1/export?format=hocr").await.text().await.unwrap();
    assert_eq!(hocr.matches("title=\"bbox ").count(), found.len());
    assert!(hocr.contains("<title>Handbook</title>") && hocr.contains("class=\"ocr_page\" id=\"page_1\""));

    assert_eq!(api.get("/models").await["models"][0]["classes"][0], "text");
    assert_eq!(api.get("/queue").await["workers"], 1);

    let again = api.send(Method::POST, "/documents/1/reprocess").await;
    assert_eq!(again.status(), StatusCode::OK);
    let done = api.get("/documents/1?wait=25").await;
    assert_eq!((&done["status"], &done["run"]), (&json!("done"), &json!(2)));
    assert_eq!(api.get("/documents/1/pages").await["pages"][0]["detections"], found.len());
    app.finish().await;
}

#[tokio::test]
async fn the_same_idempotency_key_is_the_same_document() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    let form = || pdf_form("Hello", sample(), "a.pdf");
    let uploads = (0..6).map(|_| api.upload(form(), Some("k1")));
    for response in futures_util::future::join_all(uploads).await {
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        assert_eq!(response.headers()["location"], "/api/v1/documents/1");
    }
    assert_eq!(app.count("select count(*) from documents").await, 1);
    assert_eq!(app.count("select count(*) from uploads").await, 1);
    assert_eq!(app.storage.list("").await.unwrap().len(), 1);
    let other = api.upload(pdf_form("Other title", sample(), "a.pdf"), Some("k1")).await;
    api.problem(other, 422, "idempotency_mismatch").await;
    assert_eq!(app.storage.list("").await.unwrap().len(), 1);
    assert_eq!(api.upload(form(), Some("k2")).await.status(), StatusCode::ACCEPTED);
    assert_eq!(app.count("select count(*) from documents").await, 2);
    // A second object of the same name gets another one, and with it a document that has no title of its own.
    let untitled = || api.upload(pdf_form("", sample(), "a.pdf"), Some("k3"));
    let (first, second) = (untitled().await, untitled().await);
    assert_eq!(second.status(), StatusCode::ACCEPTED);
    assert_eq!(second.headers()["location"], first.headers()["location"]);
    assert_eq!(app.count("select count(*) from documents").await, 3);
    app.finish().await;
}

#[tokio::test]
async fn a_range_of_pages_with_its_own_thresholds() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    let bytes = std::fs::read(fixture("bytefield.pdf")).unwrap();
    let form = pdf_form("x", bytes, "b.pdf")
        .text("pages", "2-3, 57")
        .text("score_threshold", "0.6")
        .text("crop_min_score", "1");
    api.upload(form, None).await;
    let none = pdf_form("x", sample(), "a.pdf").text("pages", "7");
    api.upload(none, None).await;
    let _worker = app.work(&[]);
    let done = api.get("/documents/1?wait=25").await;
    assert_eq!((&done["status"], &done["page_count"], &done["pages_in_file"]), (&json!("done"), &json!(3), &json!(58)));
    let pages = api.get("/documents/1/pages").await;
    let numbers: Vec<&Value> = pages["pages"].as_array().unwrap().iter().map(|p| &p["number"]).collect();
    assert_eq!(numbers, [2, 3, 57]);
    assert_eq!(app.count("select count(*) from detections where score <= 0.6 or crop_key is not null").await, 0);
    assert!(app.count("select count(*) from detections").await > 0);
    let failed = api.get("/documents/2?wait=25").await;
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("page_range_empty")));
    app.finish().await;
}

#[tokio::test]
async fn cancel_retry_delete() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    api.upload(pdf_form("x", std::fs::read(fixture("bytefield.pdf")).unwrap(), "b.pdf"), None).await;
    let waiting = "select count(*) from apalis.jobs where status = 'Pending'";

    assert_eq!(api.send(Method::POST, "/documents/1/cancel").await.status(), StatusCode::OK);
    assert_eq!((app.count(waiting).await, app.state(1).await.status.as_str()), (0, "canceled"));
    let twice = api.send(Method::POST, "/documents/1/cancel").await;
    api.problem(twice, 409, "status_conflict").await;
    assert_eq!(api.send(Method::POST, "/documents/1/retry").await.status(), StatusCode::OK);
    assert_eq!((app.count(waiting).await, app.state(1).await.status.as_str()), (1, "pending"));

    // A running document stops at its next page.
    let worker = app.work(&[]);
    app.until(1, |d| d.pages_done >= 2).await;
    assert_eq!(api.send(Method::POST, "/documents/1/cancel").await.status(), StatusCode::OK);
    let started = std::time::Instant::now();
    while !worker.log().contains("job done") {
        assert!(started.elapsed() < crate::common::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    app.settled().await;
    let DocumentState { status, pages_done: pages, .. } = app.state(1).await;
    assert!(status == "canceled" && pages < 58, "{status} after {pages}");

    assert_eq!(api.send(Method::DELETE, "/documents/1").await.status(), StatusCode::NO_CONTENT);
    let gone = api.send(Method::GET, "/documents/1").await;
    api.problem(gone, 404, "not_found").await;
    for table in [
        "select count(*) from documents",
        "select count(*) from pages",
        "select count(*) from detections",
        "select count(*) from uploads",
        "select count(*) from document_events",
        "select count(*) from garbage",
        "select count(*) from apalis.jobs",
    ] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    assert_eq!(app.storage.list("").await.unwrap(), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    for i in 0..5 {
        app.insert(&format!("report_{i}"), b"%PDF-").await;
    }
    app.insert("50% off", b"%PDF-").await;
    sqlx::raw_sql("update documents set status = 'canceled' where id = 2").execute(&app.pool).await.unwrap();
    let ids = |list: &Value| -> Vec<i64> {
        list["documents"].as_array().unwrap().iter().map(|d| d["id"].as_i64().unwrap()).collect()
    };
    let first = api.get("/documents?limit=4").await;
    assert_eq!(ids(&first), [6, 5, 4, 3]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = api.get(&format!("/documents?limit=4&cursor={cursor}")).await;
    assert_eq!((ids(&second), &second["next_cursor"]), (vec![2, 1], &Value::Null));
    assert_eq!(ids(&api.get("/documents?sort=oldest&status=pending&title=REPORT_").await), [1, 3, 4, 5]);
    assert_eq!(ids(&api.get("/documents?title=0%25").await), [6]);
    assert_eq!(ids(&api.get("/documents?created_after=2099-01-01T00:00:00Z").await), [] as [i64; 0]);
    for (query, part) in [
        ("limit=0", "limit: must be a number from 1 to 200"),
        ("status=open", "status: must be"),
        ("cursor=x", "cursor"),
        ("created_before=now", "created_before: not a time"),
        ("page=2", "page: there is no such parameter"),
    ] {
        let response = api.send(Method::GET, &format!("/documents?{query}")).await;
        let detail = api.problem(response, 400, "invalid_parameter").await;
        assert!(detail.contains(part), "{detail}");
    }
    app.finish().await;
}

#[tokio::test]
async fn events_tell_what_happens_and_can_be_resumed() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    api.upload(pdf_form("x", sample(), "a.pdf"), None).await;
    let stream = api.client.get(format!("{}/documents/1/events", api.base)).send();
    let worker = async { app.work(&[]) };
    let (stream, _worker) = tokio::join!(stream, worker);
    let stream = stream.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    // The stream ends by itself after the last event.
    let text = stream.text().await.unwrap();
    let kinds: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("event: ")).collect();
    assert_eq!(kinds, ["queued", "started", "page", "done"], "{text}");
    let ids: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("id: ")).collect();
    let last: Value = text
        .lines()
        .filter_map(|l| l.strip_prefix("data: "))
        .next_back()
        .map(|d| serde_json::from_str(d).unwrap())
        .unwrap();
    assert_eq!((&last["status"], &last["pages_done"], &last["page_count"]), (&json!("done"), &json!(1), &json!(1)));
    let resumed = api.client.get(format!("{}/documents/1/events", api.base)).header("Last-Event-ID", ids[1]).send();
    let text = resumed.await.unwrap().text().await.unwrap();
    let kinds: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("event: ")).collect();
    assert_eq!(kinds, ["page", "done"]);
    app.finish().await;
}

#[tokio::test]
async fn problems_have_codes_and_leave_nothing() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    let part = || Part::bytes(sample()).file_name("a.pdf");
    for (form, code, part) in [
        (Form::new().text("title", "x"), "missing_file", "part `file`"),
        (Form::new().part("file", Part::bytes(vec![]).file_name("a.pdf")), "missing_file", "empty"),
        (Form::new().part("file", part()).text("title", " "), "invalid_title", "may not be blank"),
        (Form::new().part("file", part()).text("pages", "3-1"), "invalid_parameter", "pages: \"3-1\""),
        (Form::new().part("file", part()).text("score_threshold", "2"), "invalid_parameter", "from 0 to 1"),
        (Form::new().part("file", part()).text("priority", "1000"), "invalid_parameter", "from -100 to 100"),
        (Form::new().part("file", part()).text("colour", "red"), "invalid_parameter", "colour"),
    ] {
        let response = api.upload(form, None).await;
        let detail = api.problem(response, 400, code).await;
        assert!(detail.contains(part), "{detail}");
    }
    let plain = api.client.post(format!("{}/documents", api.base)).body("x").send().await.unwrap();
    api.problem(plain, 415, "unsupported_media_type").await;
    for (method, path, status, code) in [
        (Method::GET, "/documents/7", 404, "not_found"),
        (Method::GET, "/documents/x", 404, "not_found"),
        (Method::DELETE, "/documents/7", 404, "not_found"),
        (Method::POST, "/documents/7/cancel", 404, "not_found"),
        (Method::GET, "/documents/7/pages", 404, "not_found"),
        (Method::GET, "/documents/7/events", 404, "not_found"),
        (Method::GET, "/nothing", 404, "not_found"),
        (Method::PUT, "/documents", 405, "method_not_allowed"),
    ] {
        let response = api.send(method, path).await;
        api.problem(response, status, code).await;
    }
    assert_eq!(app.count("select count(*) from documents").await + app.count("select count(*) from uploads").await, 0);
    assert_eq!(app.storage.list("").await.unwrap(), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test]
async fn tokens_open_what_they_may() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    assert_eq!(api.send(Method::GET, "/documents").await.status(), StatusCode::OK, "no token exists yet");
    let mut tokens = vec![];
    for (name, scope) in [("reader", "read"), ("writer", "write")] {
        let mut create = app.start(&["token", "create", name, "--scope", scope], &[]);
        assert!(create.exit().await.success());
        tokens.push(create.log().trim().to_owned());
    }
    let mut again = app.start(&["token", "create", "reader"], &[]);
    assert!(!again.exit().await.success());
    let send = |method: Method, path: &str, token: &str| {
        let request = api.client.request(method, format!("{}{path}", api.base));
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        async { request.send().await.unwrap() }
    };
    for token in ["", "dr_wrong"] {
        let response = send(Method::GET, "/documents", token).await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        api.problem(response, 401, "unauthorized").await;
    }
    assert_eq!(send(Method::GET, "/documents", &tokens[0]).await.status(), StatusCode::OK);
    let denied = send(Method::DELETE, "/documents/1", &tokens[0]).await;
    api.problem(denied, 403, "read_only_token").await;
    let allowed = send(Method::DELETE, "/documents/1", &tokens[1]).await;
    api.problem(allowed, 404, "not_found").await;

    let mut revoke = app.start(&["token", "revoke", "writer"], &[]);
    assert!(revoke.exit().await.success());
    let revoked = send(Method::DELETE, "/documents/1", &tokens[1]).await;
    api.problem(revoked, 401, "unauthorized").await;
    let mut list = app.start(&["token", "list"], &[]);
    assert!(list.exit().await.success());
    assert!(list.log().contains("reader  read") && !list.log().contains(&tokens[0]), "{}", list.log());
    let kept: String =
        sqlx::query_scalar("select string_agg(t::text, ' ') from api_tokens t").fetch_one(&app.pool).await.unwrap();
    assert!(!kept.contains(&tokens[0][3..]), "tokens are not kept");

    // The tutorial's endpoint is open unless told otherwise.
    let open = api.base.replace("/api/v1", "/api/create/");
    assert_eq!(reqwest::get(&open).await.unwrap().status(), StatusCode::OK);
    let closed = app.serve(&[("LEGACY_API_AUTH", "required")]).await;
    let closed = closed.url.as_deref().unwrap();
    assert_eq!(reqwest::get(closed).await.unwrap().status(), StatusCode::FORBIDDEN);
    let with_token = api.client.get(closed).bearer_auth(&tokens[0]).send().await.unwrap();
    assert_eq!(with_token.status(), StatusCode::OK);
    app.finish().await;
}
