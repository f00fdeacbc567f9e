//! The server stays small.

use reqwest::{Client, StatusCode};

use super::create::{pdf_form, url};
use crate::common::TestApp;

#[tokio::test]
async fn a_thousand_uploads_and_lists_leave_it_under_30_mib() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    let client = Client::new();
    let file = b"%PDF-1.4\n%%EOF\n".repeat(2000);
    for i in 0..1000 {
        let form = pdf_form(&format!("document {i}"), file.clone(), "a.pdf");
        let response = client.post(url(&server)).multipart(form).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        let list = client.get(url(&server)).send().await.unwrap();
        assert_eq!(list.status(), StatusCode::OK);
        assert!(list.bytes().await.unwrap().len() > 60 * i);
    }
    assert_eq!(app.count("select count(*) from apalis.jobs").await, 1000);
    let rss = server.rss_mb();
    println!("app serve after 1,000 uploads and lists: {rss} MiB");
    assert!(rss < 30, "{rss} MiB");
    app.finish().await;
}
