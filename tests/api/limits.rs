//! Too many requests, too much at once, too slow, too large: clear answers, little memory, nothing left behind.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::Api;
use super::create::{pdf_form, post, url};
use crate::common::{App, PATIENCE, TestApp, sample};

fn host(server: &App) -> String {
    url(server).strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned()
}

/// The start of a form whose file has `size` bytes.
fn head(path: &str, size: usize) -> String {
    let part = "--B\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nT\r\n\
                --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n";
    let length = part.len() + size + "\r\n--B--\r\n".len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: {length}\r\n\r\n{part}"
    )
}

async fn status_line(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 12];
    match tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap() {
        Ok(_) => String::from_utf8(answer).unwrap(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn too_many_requests() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[("RATE_LIMIT", "1"), ("RATE_BURST", "3"), ("TRUSTED_PROXIES", "1")]).await;
    let get = |path: &str, address: &str| {
        api.client.get(format!("{}{path}", api.base)).header("X-Forwarded-For", address.to_owned()).send()
    };
    for _ in 0..3 {
        assert_eq!(get("/queue", "1.1.1.1").await.unwrap().status(), StatusCode::OK);
    }
    let limited = get("/queue", "1.1.1.1").await.unwrap();
    assert_eq!(limited.headers()["retry-after"], "1");
    api.problem(limited, 429, "rate_limited").await;
    assert_eq!(get("/queue", "2.2.2.2").await.unwrap().status(), StatusCode::OK);
    let legacy = get("/../create/", "1.1.1.1").await.unwrap();
    assert_eq!(
        (legacy.status(), &legacy.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    let body: Value = legacy.json().await.unwrap();
    assert_eq!(body, json!({"detail": "Request was throttled. Expected available in 1 second."}));
    app.finish().await;
}

#[tokio::test]
async fn too_many_documents_wait() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[("QUEUE_LIMIT", "1")]).await;
    assert_eq!(post(&api.server, pdf_form("one", sample(), "a.pdf")).await.status(), StatusCode::CREATED);
    let legacy = post(&api.server, pdf_form("two", sample(), "a.pdf")).await;
    assert_eq!(
        (legacy.status(), &legacy.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"60".parse().unwrap())
    );
    let full = api.upload(pdf_form("two", sample(), "a.pdf"), None).await;
    assert_eq!(full.headers()["retry-after"], "60");
    api.problem(full, 503, "queue_full").await;
    let full = api.post_json("/documents", &json!({"url": "https://example.com/a.pdf"})).await;
    api.problem(full, 503, "queue_full").await;
    assert_eq!(app.storage.list("").await.unwrap(), ["media/a.pdf"]);
    api.send(Method::DELETE, "/documents/1").await;
    assert_eq!(post(&api.server, pdf_form("two", sample(), "a.pdf")).await.status(), StatusCode::CREATED);
    app.finish().await;
}

#[tokio::test]
async fn too_many_uploads_of_one_client() {
    let app = TestApp::new().await;
    let settings = [("UPLOAD_CONCURRENCY", "2"), ("UPLOADS_PER_CLIENT", "1"), ("UPLOADS_WAITING", "2")];
    let server = app.serve(&settings).await;
    // One has the turn that this address may have, one waits, and one is too many.
    let mut held = vec![];
    for _ in 0..3 {
        let mut stream = TcpStream::connect(host(&server)).await.unwrap();
        stream.write_all(head("/api/create/", 1000).as_bytes()).await.unwrap();
        held.push(stream);
    }
    let answered = futures_util::future::select_all(held.iter().map(|stream| Box::pin(stream.readable())));
    let (_, first, _) = tokio::time::timeout(PATIENCE, answered).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = held.swap_remove(first).read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
    assert!(answer.starts_with("http/1.1 429") && answer.contains("retry-after: 5\r\n"), "{answer}");
    // Another address is served meanwhile.
    let other = Client::builder().local_address(Some(Ipv4Addr::new(127, 0, 0, 2).into())).build().unwrap();
    let answer = other.post(url(&server)).multipart(pdf_form("y", sample(), "c.pdf")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    // And those that waited are served at last.
    for stream in &mut held {
        stream.write_all(&[[b'x'; 1000].as_slice(), b"\r\n--B--\r\n"].concat()).await.unwrap();
    }
    for mut stream in held {
        assert_eq!(status_line(&mut stream).await, "HTTP/1.1 201");
    }
    app.finish().await;
}

/// Waiting is not the client's slowness, however long it takes.
#[tokio::test]
async fn a_long_wait_for_a_turn() {
    let app = TestApp::new().await;
    let server = app.serve(&[("UPLOAD_CONCURRENCY", "1")]).await;
    let mut first = TcpStream::connect(host(&server)).await.unwrap();
    first.write_all(head("/api/create/", 40 << 10).as_bytes()).await.unwrap();
    app.until_count("select count(*) from uploads", |uploads| uploads > 0).await;
    let form = pdf_form("patient", sample(), "b.pdf");
    // By default reqwest gives up when nothing is taken for 30 s.
    let client = Client::builder().tcp_user_timeout(None).build().unwrap();
    let second = tokio::spawn(client.post(url(&server)).multipart(form).send());
    for _ in 0..40 {
        first.write_all(&[7; 1 << 10]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(950)).await;
    }
    assert!(!second.is_finished());
    first.write_all(b"\r\n--B--\r\n").await.unwrap();
    assert_eq!(status_line(&mut first).await, "HTTP/1.1 201");
    assert_eq!(second.await.unwrap().unwrap().status(), StatusCode::CREATED);
    app.finish().await;
}

/// Who still sends a large body gets the answer that refuses it.
#[tokio::test]
async fn early_answers_arrive() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[("QUEUE_LIMIT", "1")]).await;
    assert_eq!(post(&api.server, pdf_form("one", sample(), "a.pdf")).await.status(), StatusCode::CREATED);
    for _ in 0..5 {
        let full = api.upload(pdf_form("two", vec![7; 30 << 20], "a.pdf"), None).await;
        api.problem(full, 503, "queue_full").await;
    }
    app.finish().await;
}

#[tokio::test]
async fn slow_clients_are_in_nobodys_way() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    // Heads that never end, and bodies that trickle.
    let mut heads = vec![];
    let mut bodies = vec![];
    for _ in 0..100 {
        let mut stream = TcpStream::connect(host(&server)).await.unwrap();
        stream.write_all(b"GET /api/create/ HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
        heads.push(stream);
        let mut stream = TcpStream::connect(host(&server)).await.unwrap();
        stream.write_all(head("/api/create/", 100 << 20).as_bytes()).await.unwrap();
        bodies.push(stream);
    }
    let started = Instant::now();
    for _ in 0..5 {
        for stream in &mut bodies {
            let _ = stream.write_all(b"x").await;
        }
        let other = Client::builder().local_address(Some(Ipv4Addr::new(127, 0, 0, 2).into())).build().unwrap();
        let answer = other.post(url(&server)).multipart(pdf_form("y", sample(), "c.pdf")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(server.rss_mb() < 60, "{} MiB", server.rss_mb());
    // Heads have ten seconds.
    assert_eq!(status_line(&mut heads[0]).await, "HTTP/1.1 408");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    drop((heads, bodies));
    app.until_count("select count(*) from uploads where document_id is null", |uploads| uploads == 0).await;
    app.assert_sound().await;
    assert_eq!(app.storage.list("").await.unwrap().len(), 5);
    app.finish().await;
}

#[tokio::test]
async fn two_gigabytes() {
    let app = TestApp::new().await;
    let server = app.serve(&[("MAX_UPLOAD_MB", "50")]).await;
    // With its length said, it is refused before it comes.
    let mut honest = TcpStream::connect(host(&server)).await.unwrap();
    honest.write_all(head("/api/v1/documents", 2 << 30).as_bytes()).await.unwrap();
    assert_eq!(status_line(&mut honest).await, "HTTP/1.1 413");
    // Without, when it has become too large.
    let mut endless = TcpStream::connect(host(&server)).await.unwrap();
    let head = head("/api/create/", 0).replace("Content-Length: ", "Transfer-Encoding: chunked\r\nX-Length: ");
    let (head, part) = head.split_once("\r\n\r\n").unwrap();
    endless.write_all(format!("{head}\r\n\r\n{:x}\r\n{part}\r\n", part.len()).as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[7; 0x10000], b"\r\n"].concat();
    for _ in 0..(2_u64 << 30) / 0x10000 {
        if endless.write_all(&chunk).await.is_err() {
            break;
        }
    }
    assert_eq!(status_line(&mut endless).await, "HTTP/1.1 413");
    assert!(server.peak_rss_mb() < 60, "{} MiB", server.peak_rss_mb());
    for table in ["select count(*) from uploads", "select count(*) from documents", "select count(*) from apalis.jobs"]
    {
        assert_eq!(app.count(table).await, 0);
    }
    assert_eq!(app.storage.list("").await.unwrap(), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test]
async fn two_hundred_uploads_at_once() {
    const UPLOADS: usize = 200;
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    let file = [b"%PDF-1.7\n".as_slice(), &[7; 2 << 20]].concat();
    let client = Client::new();
    let upload = |i: usize| {
        let form = pdf_form(&format!("document {i}"), file.clone(), "a.pdf");
        let request = client.post(url(&server)).multipart(form).send();
        async move { request.await.unwrap().status() }
    };
    let answers = futures_util::future::join_all((0..UPLOADS).map(upload)).await;
    assert!(answers.iter().all(|status| *status == StatusCode::CREATED), "{answers:?}");
    let peak = server.peak_rss_mb();
    println!("app serve at its peak in {UPLOADS} uploads at once: {peak} MiB");
    assert!(peak < 60, "{peak} MiB");
    app.assert_sound().await;
    assert_eq!(app.count("select count(*) from documents").await as usize, UPLOADS);
    assert_eq!(app.storage.list("media/").await.unwrap().len(), UPLOADS);
    app.finish().await;
}
