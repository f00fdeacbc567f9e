//! A client of `/api/v1`.

use reqwest::multipart::Form;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::common::{App, TestApp};

pub struct Api {
    pub base: String,
    pub client: Client,
    pub server: App,
}

impl Api {
    pub async fn start(app: &TestApp, settings: &[(&str, &str)]) -> Self {
        let server = app.serve(settings).await;
        let base = server.url.as_deref().unwrap().replace("/api/create/", "/api/v1");
        Self { base, client: Client::builder().redirect(Policy::none()).build().unwrap(), server }
    }

    pub async fn send(&self, method: Method, path: &str) -> Response {
        self.client.request(method, format!("{}{path}", self.base)).send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        let response = self.send(Method::GET, path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    pub async fn upload(&self, form: Form, key: Option<&str>) -> Response {
        let mut request = self.client.post(format!("{}/documents", self.base)).multipart(form);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        request.send().await.unwrap()
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Response {
        self.client.post(format!("{}{path}", self.base)).json(body).send().await.unwrap()
    }

    /// Makes a document out of JSON and waits until it is over.
    pub async fn document(&self, body: &Value) -> Value {
        let response = self.post_json("/documents", body).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        let location = response.headers()["location"].to_str().unwrap().trim_start_matches("/api/v1").to_owned();
        self.get(&format!("{location}?wait=25")).await
    }

    /// Expects a problem document.
    pub async fn problem(&self, response: Response, status: u16, code: &str) -> String {
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body: Value = response.json().await.unwrap();
        assert_eq!((&body["status"], &body["code"]), (&json!(status), &json!(code)));
        assert!(body["title"].is_string() && body["type"] == format!("urn:docreader:problem:{code}"));
        body["detail"].as_str().unwrap().to_owned()
    }
}
