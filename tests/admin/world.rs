//! A service with people and with documents in every state.

use docreader::accounts::Role;
use nix::sys::signal::Signal;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};

use crate::common::{App, DocumentState, TestApp, fixture, sample};
use crate::person::{Person, add_user};

/// Done twice, with two thresholds.
pub const DONE: i64 = 1;
/// Its PDF is encrypted.
pub const FAILED: i64 = 2;
/// There is no worker any more.
pub const WAITING: i64 = 3;

pub struct World {
    pub app: TestApp,
    pub server: App,
}

/// The server, and ada (an admin), otto (an operator) and vera (a viewer).
pub async fn with_people() -> World {
    let app = TestApp::new().await;
    let server = app.serve(&[("MEDIA", "proxy")]).await;
    for (name, role) in [("ada", Role::Admin), ("otto", Role::Operator), ("vera", Role::Viewer)] {
        add_user(&app, name, role).await;
    }
    World { app, server }
}

/// The same with the documents above; `settings` are the worker's.
pub async fn with_documents(settings: &[(&str, &str)]) -> World {
    let World { app, server } = with_people().await;
    let otto = Person::logged_in(&server, "otto").await;
    let mut worker = app.work(settings);
    assert_eq!(upload(&otto, "The bytefield package", manual(), "1-4").await, DONE);
    let locked = std::fs::read(fixture("encrypted.pdf")).unwrap();
    assert_eq!(upload(&otto, "Locked", locked, "").await, FAILED);
    assert_eq!(app.finished(DONE).await.status, "done");
    assert_eq!(app.finished(FAILED).await.status, "failed");
    app.settled().await;
    let again = otto.request(Method::POST, &format!("/api/v1/documents/{DONE}/reprocess"));
    let again = again.header("X-CSRF-Token", &otto.csrf).json(&serde_json::json!({"score_threshold": 0.7}));
    assert!(again.send().await.unwrap().status().is_success());
    app.until_count("select count(*) from documents where pages_run = 2 and status = 'done'", |done| done == 1).await;
    app.settled().await;
    worker.signal(Signal::SIGTERM);
    assert!(worker.exit().await.success());
    assert_eq!(upload(&otto, "Waiting", sample(), "").await, WAITING);
    World { app, server }
}

/// 58 pages of text with figures and tables.
pub fn manual() -> Vec<u8> {
    std::fs::read(fixture("bytefield.pdf")).unwrap()
}

/// By the API, with a session; `pages` may be empty for all. The document's id.
pub async fn upload(person: &Person, title: &str, bytes: Vec<u8>, pages: &'static str) -> i64 {
    let part = Part::bytes(bytes).file_name("a.pdf");
    let mut form = Form::new().text("title", title.to_owned());
    if !pages.is_empty() {
        form = form.text("pages", pages);
    }
    let form = form.part("file", part);
    let request = person.request(Method::POST, "/api/v1/documents").header("X-CSRF-Token", &person.csrf);
    let response = request.multipart(form).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    response.json::<serde_json::Value>().await.unwrap()["id"].as_i64().unwrap()
}

impl World {
    pub async fn finish(self) {
        self.app.finish().await;
    }

    pub async fn is(&self, id: i64, status: &str) -> DocumentState {
        self.app.until(id, |state| state.status == status).await
    }
}
