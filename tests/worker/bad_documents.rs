//! Files that are no good: each fails its document with a sentence for a person, and the worker goes on.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{DocumentState, PATIENCE, TestApp, fixture, pdf, sample};

#[tokio::test]
async fn each_bad_file_says_why_and_the_worker_lives() {
    let app = TestApp::new().await;
    let whole = sample();
    let mut cases = vec![];
    for (name, bytes, expected) in [
        ("empty", vec![], "The file is empty (0 bytes)."),
        (
            "text",
            b"not a pdf".to_vec(),
            "The file is not a PDF: it has no %PDF- header, nor is it a PNG, JPEG, TIFF, WebP or BMP image.",
        ),
        ("truncated", whole[..whole.len() / 3].to_vec(), "The file is damaged or incomplete and cannot be opened."),
        ("header only", b"%PDF-1.4\n%%EOF\n".to_vec(), "The file is damaged or incomplete and cannot be opened."),
        (
            "encrypted",
            std::fs::read(fixture("encrypted.pdf")).unwrap(),
            "The PDF is protected by a password, so its pages cannot be read.",
        ),
        ("broken png", b"\x89PNG\r\n\x1a\nnothing".to_vec(), "The file is damaged or incomplete and cannot be opened."),
        ("no pages", pdf::no_pages(), "The PDF has no pages."),
        (
            "huge",
            pdf::huge(),
            "Page 1 is 200000 × 200000 pt, which makes 90000 megapixels; the limit is 40 (RENDER_MAX_MEGAPIXELS).",
        ),
        ("endless", pdf::endless(), "Page 1 took longer than the limit of 1 s (RENDER_TIMEOUT_SECONDS)."),
    ] {
        cases.push((app.insert(name, &bytes).await, name, expected));
    }
    let good = app.insert("good", &whole).await;
    let worker = app.work(&[("RENDER_TIMEOUT_SECONDS", "1")]);
    for (id, name, expected) in cases {
        let DocumentState { status, pages_done: pages, error, .. } = app.finished(id).await;
        // A page that fails is through, too; of these files it is the only one.
        let failed = i32::from(expected.starts_with("Page 1 "));
        assert_eq!((status.as_str(), pages, error.as_deref()), ("failed", failed, Some(expected)), "{name}");
    }
    assert_eq!(app.finished(good).await, DocumentState::done(1));
    assert_eq!(worker.log().matches("waiting for documents").count(), 1, "the worker never had to start again");
    app.settled().await;
    // A file's own fault is not tried again.
    let tried_once = "select count(*) from apalis.jobs where attempts = 1 and status in ('Killed', 'Done')";
    assert_eq!(app.count(tried_once).await, 10);
    app.finish().await;
}

#[tokio::test]
async fn an_object_that_is_gone_fails_its_document() {
    let app = TestApp::new().await;
    let insert = "insert into documents (title, object_key) values ('x', 'media/gone.pdf') returning id";
    let id: i64 = sqlx::query_scalar(insert).fetch_one(&app.pool).await.unwrap();
    let _worker = app.work(&[]);
    let DocumentState { status, error, .. } = app.finished(id).await;
    assert_eq!(
        (status.as_str(), error.as_deref()),
        ("failed", Some("The uploaded file is not in the bucket: media/gone.pdf"))
    );
    app.finish_except(&["document without file"]).await;
}

#[tokio::test]
async fn a_renderer_that_crashes_fails_its_document() {
    let app = TestApp::new().await;
    let worker = app.work(&[("RENDER_TIMEOUT_SECONDS", "30")]);
    let id = app.insert("endless", &pdf::endless()).await;
    app.until(id, |d| d.status == "processing").await;
    let started = Instant::now();
    let child = loop {
        if let Some(&child) = worker.children().first()
            && worker.log().contains("Running for page 1")
        {
            break child;
        }
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    kill(Pid::from_raw(child), Signal::SIGABRT).unwrap();
    let DocumentState { status, error, .. } = app.finished(id).await;
    let error = error.unwrap();
    assert!(status == "failed" && error.starts_with("Page 1 made the renderer crash (SIGABRT)"), "{error}");
    let next = app.insert("good", &sample()).await;
    assert_eq!(app.finished(next).await, DocumentState::done(1));
    app.finish().await;
}

#[tokio::test]
async fn a_renderer_that_wants_too_much_memory_fails_its_document() {
    let app = TestApp::new().await;
    // An image of 30,000 × 30,000 pixels that decodes to 2.7 GB.
    let image = "<< /Type /XObject /Subtype /Image /Width 30000 /Height 30000 /ColorSpace /DeviceRGB /BitsPerComponent 8 /Length 3 >>\nstream\nabc\nendstream";
    let bytes =
        pdf::one_page("0 0 200 200", "200 0 0 200 0 0 cm /X Do", "/XObject << /X 5 0 R >>", vec![image.to_owned()]);
    let id = app.insert("bomb", &bytes).await;
    let worker = app.work(&[("RENDER_MEMORY_MB", "256"), ("RENDER_TIMEOUT_SECONDS", "2")]);
    let busy = app.insert("endless", &pdf::endless()).await;
    // pdfium may refuse the image and leave it out, or run into the limit.
    let DocumentState { status, error, .. } = app.finished(id).await;
    assert!(status == "done" || error.is_some_and(|e| e.contains("RENDER_MEMORY_MB")));
    // A child that is at work has the limit on its address space, and no more than that of it.
    app.until(busy, |d| d.status == "processing").await;
    let started = Instant::now();
    let child = loop {
        match worker.children().first() {
            Some(&child) if worker.log().matches("Running for page 1 of 1").count() == 2 => break child,
            _ => assert!(started.elapsed() < PATIENCE),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let limits = std::fs::read_to_string(format!("/proc/{child}/limits")).unwrap();
    let address_space = limits.lines().find(|l| l.starts_with("Max address space")).unwrap();
    assert!(address_space.contains(&(256 << 20).to_string()), "{address_space}");
    let environment = std::fs::read(format!("/proc/{child}/environ")).unwrap();
    assert_eq!(environment, b"", "the child has no secrets");
    // It ends with its worker, even while it is busy.
    worker.signal(Signal::SIGKILL);
    while std::path::Path::new(&format!("/proc/{child}/exe")).read_link().is_ok() {
        assert!(started.elapsed() < PATIENCE, "child {child} outlives its worker");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    app.abandon("the worker was killed at its job");
}
