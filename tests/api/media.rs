//! Files and pictures through the server's own port.

use docreader::storage::ObjectKey;
use futures_util::stream;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::Api;
use super::create::{pdf_form, post};
use crate::common::{TestApp, sample};

const PROXY: (&str, &str) = ("MEDIA", "proxy");

/// Where paths begin: the server without `/api/v1`.
fn host(api: &Api) -> &str {
    api.base.trim_end_matches("/api/v1")
}

async fn ask(api: &Api, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = api.client.request(method, format!("{}{path}", host(api)));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn get(api: &Api, path: &str) -> Response {
    ask(api, Method::GET, path, &[]).await
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Uploads as the tutorial does, and returns the path of the `file` URL.
async fn upload(api: &Api, bytes: Vec<u8>, name: &str) -> String {
    let created: Value = post(&api.server, pdf_form("A title", bytes, name)).await.json().await.unwrap();
    created["file"].as_str().unwrap().strip_prefix(host(api)).unwrap().to_owned()
}

/// The status of a request whose path no client library would send as it is.
async fn raw(api: &Api, head: &str) -> String {
    let mut stream = TcpStream::connect(host(api).trim_start_matches("http://")).await.unwrap();
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = vec![];
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_file_is_what_was_uploaded() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[PROXY]).await;
    let path = upload(&api, sample(), "Ünï code (1).pdf").await;
    assert_eq!(path, "/media/%C3%9Cn%C3%AF_code_1.pdf");
    assert_eq!(api.get("/documents/1").await["file"], format!("{}{path}", host(&api)));
    let list: Value = get(&api, "/api/create/").await.json().await.unwrap();
    assert_eq!(list[0]["file"], format!("{}{path}", host(&api)));
    for path in [path.as_str(), "/api/v1/documents/1/file"] {
        let whole = ask(&api, Method::GET, path, &[("Accept-Encoding", "gzip")]).await;
        assert_eq!(whole.status(), StatusCode::OK, "{path}");
        for (name, value) in [
            ("content-type", "application/pdf"),
            ("content-length", sample().len().to_string().as_str()),
            ("content-disposition", "inline; filename*=UTF-8''%C3%9Cn%C3%AF%5Fcode%5F1%2Epdf"),
            ("content-encoding", "identity"),
            ("cache-control", "private, no-cache"),
            ("x-content-type-options", "nosniff"),
            ("accept-ranges", "bytes"),
        ] {
            assert_eq!(header(&whole, name), value, "{name}");
        }
        assert!(header(&whole, "content-security-policy").starts_with("default-src 'none'"));
        let etag = header(&whole, "etag").to_owned();
        assert!(etag.len() > 2 && etag.starts_with('"'), "{etag}");
        assert!(whole.bytes().await.unwrap() == sample());

        let head = ask(&api, Method::HEAD, path, &[("Range", "bytes=0-1")]).await;
        assert_eq!((head.status(), header(&head, "etag")), (StatusCode::OK, etag.as_str()));
        assert_eq!(header(&head, "content-length"), sample().len().to_string());
        assert_eq!(header(&head, "content-type"), "application/pdf");
        assert!(head.bytes().await.unwrap().is_empty());
        let known = ask(&api, Method::GET, path, &[("If-None-Match", &etag)]).await;
        assert_eq!((known.status(), header(&known, "etag")), (StatusCode::NOT_MODIFIED, etag.as_str()));
        assert!(known.bytes().await.unwrap().is_empty());
        let other = ask(&api, Method::GET, path, &[("If-None-Match", "\"other\"")]).await;
        assert_eq!(other.status(), StatusCode::OK);
    }
    for host in ["example.org:81", "[::1]:81"] {
        let answer = raw(&api, &format!("GET /api/v1/documents/1 HTTP/1.1\r\nHost: {host}")).await;
        assert!(answer.contains(&format!("\"file\":\"http://{host}{path}\"")), "{answer}");
    }
    let answer = raw(&api, "GET /api/v1/documents/1 HTTP/1.1\r\nHost: a\"<b>").await;
    assert!(answer.contains(&format!("\"file\":\"{path}\"")) || answer.starts_with("HTTP/1.1 400"), "{answer}");
    app.finish().await;
}

#[tokio::test]
async fn a_part_is_what_was_asked_for() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[PROXY]).await;
    let path = upload(&api, sample(), "a.pdf").await;
    let (size, etag) = (sample().len(), header(&get(&api, &path).await, "etag").to_owned());
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=5-1000", 5, 1001),
        ("bytes=100000-", 100_000, size),
        ("bytes=-20", size - 20, size),
        ("bytes=600000-99999999", 600_000, size),
    ] {
        for version in ["", &etag] {
            let mut headers = vec![("Range", range)];
            headers.extend((!version.is_empty()).then_some(("If-Range", version)));
            let part = ask(&api, Method::GET, &path, &headers).await;
            assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
            assert_eq!(header(&part, "content-range"), format!("bytes {start}-{}/{size}", end - 1));
            assert_eq!((header(&part, "content-type"), header(&part, "etag")), ("application/pdf", etag.as_str()));
            assert!(part.bytes().await.unwrap() == sample()[start..end], "{range}");
        }
    }
    let replaced = ask(&api, Method::GET, &path, &[("Range", "bytes=0-1"), ("If-Range", "\"other\"")]).await;
    assert_eq!(replaced.status(), StatusCode::OK);
    assert!(replaced.bytes().await.unwrap() == sample());
    for range in [format!("bytes={size}-"), "bytes=-0".to_owned()] {
        let outside = ask(&api, Method::GET, &path, &[("Range", &range)]).await;
        assert_eq!(header(&outside, "content-range"), format!("bytes */{size}"));
        api.problem(outside, 416, "range_not_satisfiable").await;
    }
    app.finish().await;
}

#[tokio::test]
async fn bytes_decide_what_a_file_is() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[PROXY]).await;
    let mut png = std::io::Cursor::new(vec![]);
    image::RgbImage::new(2, 2).write_to(&mut png, image::ImageFormat::Png).unwrap();
    for (bytes, content_type, shown) in [
        (b"<html><script>alert(1)</script>%PDF-1.4".to_vec(), "application/octet-stream", "attachment; "),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "application/octet-stream", "attachment; "),
        (b"x".to_vec(), "application/octet-stream", "attachment; "),
        (png.into_inner(), "image/png", "inline; "),
    ] {
        // The client says that it is a PDF.
        let path = upload(&api, bytes.clone(), "a.pdf").await;
        for range in ["", "bytes=0-0"] {
            let file = ask(&api, Method::GET, &path, &[("Range", range)]).await;
            assert_eq!(header(&file, "content-type"), content_type);
            assert!(header(&file, "content-disposition").starts_with(shown));
            assert_eq!(header(&file, "x-content-type-options"), "nosniff");
            assert_eq!(header(&file, "content-security-policy"), "sandbox; default-src 'none'");
            let whole = file.status() == StatusCode::OK;
            assert!(file.bytes().await.unwrap() == bytes[..if whole { bytes.len() } else { 1 }]);
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn only_what_belongs_to_a_document_is_there() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[PROXY]).await;
    let worker = app.work(&[]);
    let path = upload(&api, sample(), "a.pdf").await;
    api.get("/documents/1?wait=25").await;
    let keys: Vec<String> = sqlx::query_scalar(
        "select unnest(array[image_key, thumbnail_key, overlay_key]) from pages
         union all select crop_key from detections where crop_key is not null",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(keys.len() > 3);
    for key in &keys {
        let picture = get(&api, &format!("/{key}")).await;
        let wanted = if key.ends_with("/thumbnail.jpg") { "image/jpeg" } else { "image/png" };
        assert_eq!((picture.status(), header(&picture, "content-type")), (StatusCode::OK, wanted), "{key}");
        image::load_from_memory(&picture.bytes().await.unwrap()).unwrap();
    }
    for (picture, kind) in
        [("image", "image/png"), ("overlay", "image/png"), ("crops/0", "image/png"), ("thumbnail", "image/jpeg")]
    {
        let sent = get(&api, &format!("/api/v1/documents/1/pages/1/{picture}")).await;
        assert_eq!((sent.status(), header(&sent, "content-type")), (StatusCode::OK, kind), "{picture}");
        image::load_from_memory(&sent.bytes().await.unwrap()).unwrap();
    }
    // A page from before thumbnails were made.
    let old = "with old as (update pages set thumbnail_key = null) select thumbnail_key from pages";
    let thumbnail: String = sqlx::query_scalar(old).fetch_one(&app.pool).await.unwrap();
    for path in [format!("/{thumbnail}"), "/api/v1/documents/1/pages/1/thumbnail".to_owned()] {
        api.problem(get(&api, &path).await, 404, "not_found").await;
    }

    for key in ["media/orphan.pdf", "results/1/m/page-1/secret.png", "results/2/m/page-1/page.png", "other/a.pdf"] {
        app.storage.put(&ObjectKey::parse(key).unwrap(), b"%PDF-", "application/pdf").await.unwrap();
        assert_eq!(get(&api, &format!("/{key}")).await.status(), StatusCode::NOT_FOUND, "{key}");
    }
    let page = keys[0].clone();
    for path in ["/media", "/media/", "/results/", "/results/1", "/results/x/y/page-1/page.png", "/media/b.pdf"] {
        let detail = api.problem(get(&api, path).await, 404, "not_found").await;
        assert_eq!(detail, format!("There is nothing at {path}."));
    }
    for path in [
        "/media/../media/a.pdf".to_owned(),
        format!("/media/../{page}"),
        "/media/%2e%2e/media/a.pdf".into(),
        "/media%2fa.pdf".into(),
        "/media/x/..%2fa.pdf".into(),
        "/media//a.pdf".into(),
        "/media/./a.pdf".into(),
        "/media/a.pdf%00".into(),
        "/media/a.pdf%0d%0aX: y".replace(' ', "%20"),
        "/media/a.pdf/".into(),
        "/media/%ff".into(),
        "/media/..%5ca.pdf".into(),
        format!("/results/1/..%2f..%2f{page}"),
        "/results/media/a.pdf".into(),
        "/media/results/1".into(),
    ] {
        let answer = raw(&api, &format!("GET {path} HTTP/1.1\r\nHost: x")).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    let refused = ask(&api, Method::DELETE, &path, &[]).await;
    assert_eq!(header(&refused, "allow"), "GET, HEAD");
    api.problem(refused, 405, "method_not_allowed").await;

    for key in ["media/orphan.pdf", "results/1/m/page-1/secret.png", "results/2/m/page-1/page.png", "other/a.pdf"] {
        app.storage.delete(&ObjectKey::parse(key).unwrap()).await.unwrap();
    }
    assert_eq!(api.send(Method::DELETE, "/documents/1").await.status(), StatusCode::NO_CONTENT);
    for path in [path.as_str(), &format!("/{page}")] {
        api.problem(get(&api, path).await, 404, "not_found").await;
    }
    drop(worker);
    app.finish().await;
}

#[tokio::test]
async fn tokens_hold_for_bytes_too() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[PROXY, ("API_AUTH", "required"), ("LEGACY_API_AUTH", "auto")]).await;
    let path = upload(&api, sample(), "a.pdf").await;
    assert_eq!(get(&api, &path).await.status(), StatusCode::OK, "auto, and no token exists yet");
    let mut create = app.start(&["token", "create", "reader", "--scope", "read"], &[]);
    assert!(create.exit().await.success());
    let token = create.log().trim().to_owned();
    let results = "/results/1/m/page-1/page.png";
    for path in [path.as_str(), results, "/api/v1/documents/1/file"] {
        for method in [Method::GET, Method::HEAD] {
            let refused = ask(&api, method, path, &[]).await;
            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(header(&refused, "www-authenticate"), "Bearer");
        }
        api.problem(get(&api, path).await, 401, "unauthorized").await;
        let bearer = format!("Bearer {token}");
        let allowed = ask(&api, Method::GET, path, &[("Authorization", &bearer)]).await;
        let wanted = if path == results { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(allowed.status(), wanted, "{path}");
    }
    drop(api);
    // As the tutorial's `file` URL, whatever /api/v1 asks for.
    let api = Api::start(&app, &[PROXY, ("API_AUTH", "required")]).await;
    assert_eq!(get(&api, &path).await.status(), StatusCode::OK);
    api.problem(get(&api, results).await, 401, "unauthorized").await;
    app.finish().await;
}

#[tokio::test]
async fn media_decides_what_urls_answers_carry() {
    let app = TestApp::new().await;
    let plain = app.storage.url("media/a.pdf");
    for (settings, file, location) in [
        (vec![], &plain, format!("{plain}?X-Amz-")),
        (vec![("MEDIA", "presigned")], &plain, format!("{plain}?X-Amz-")),
        (vec![("MEDIA", "public")], &plain, plain.clone()),
        (vec![PROXY, ("AWS_DEFAULT_ACL", "public-read")], &plain, String::new()),
        (vec![PROXY, ("AWS_S3_CUSTOM_DOMAIN", "cdn.org")], &"https://cdn.org/media/a.pdf".to_owned(), String::new()),
    ] {
        let api = Api::start(&app, &settings).await;
        if app.count("select count(*) from documents").await == 0 {
            assert_eq!(post(&api.server, pdf_form("A title", sample(), "a.pdf")).await.status(), StatusCode::CREATED);
        }
        assert_eq!(api.get("/documents/1").await["file"], **file, "{settings:?}");
        assert_eq!(api.get("/documents").await["documents"][0]["file"], **file, "{settings:?}");
        let answer = api.send(Method::GET, "/documents/1/file").await;
        let wanted = if location.is_empty() { StatusCode::OK } else { StatusCode::FOUND };
        assert_eq!(answer.status(), wanted, "{settings:?}");
        assert!(header(&answer, "location").starts_with(&location), "{settings:?}");
        // Those of this server are there in any case.
        assert_eq!(get(&api, "/media/a.pdf").await.status(), StatusCode::OK, "{settings:?}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_large_file_leaves_the_server_small() {
    const PARTS: usize = 200;
    let app = TestApp::new().await;
    let api = Api::start(&app, &[PROXY]).await;
    let part = |n: usize| vec![n as u8; 1 << 20];
    let key = ObjectKey::parse("media/large.pdf").unwrap();
    let parts = stream::iter((0..PARTS).map(|n| Ok::<_, std::io::Error>(part(n).into())));
    app.storage.put_stream(&key, "application/pdf", u64::MAX, parts).await.unwrap();
    let insert = "insert into documents (title, object_key) values ('large', 'media/large.pdf')";
    sqlx::query(insert).execute(&app.pool).await.unwrap();
    let before = api.server.peak_rss_mb();
    // Some who hang up after the first bytes, and one who reads nothing more.
    for _ in 0..20 {
        let mut response = get(&api, "/media/large.pdf").await;
        assert!(response.chunk().await.unwrap().is_some());
    }
    let stalled = get(&api, "/media/large.pdf").await;
    let mut response = Client::new().get(format!("{}/media/large.pdf", host(&api))).send().await.unwrap();
    let mut size = 0;
    while let Some(chunk) = response.chunk().await.unwrap() {
        assert!(chunk.iter().enumerate().all(|(i, &byte)| byte == ((size + i) >> 20) as u8));
        size += chunk.len();
    }
    assert_eq!(size, PARTS << 20);
    let range = format!("bytes={}-{}", (150 << 20) - 1, 150 << 20);
    let middle = ask(&api, Method::GET, "/media/large.pdf", &[("Range", &range)]).await;
    assert_eq!(middle.bytes().await.unwrap()[..], [149, 150]);
    drop(stalled);
    let after = api.server.peak_rss_mb();
    println!("app serve before {before} MiB, at most {after} MiB");
    assert!(after < 40, "{before} MiB before, at most {after} MiB");
    app.finish().await;
}
