//! Somebody at a browser, as far as HTTP goes: one cookie, and the CSRF token of the last page.

use docreader::accounts::{self, NewUser, Role};
use reqwest::header::{ACCEPT, COOKIE, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};

use crate::common::{App, TestApp};

/// Of everybody in these tests.
pub const PASSWORD: &str = "correct horse battery";

#[derive(Clone)]
pub struct Person {
    pub origin: String,
    client: Client,
    /// `name=value`
    pub cookie: Option<String>,
    pub csrf: String,
}

/// Adds somebody who may log in; his id.
pub async fn add_user(app: &TestApp, username: &str, role: Role) -> i64 {
    let password_hash = &accounts::hash_password(PASSWORD);
    let new = NewUser { username, email: &format!("{username}@example.org"), password_hash, role };
    accounts::create_user(&mut app.pool.acquire().await.unwrap(), new).await.unwrap()
}

/// `http://127.0.0.1:PORT`
pub fn origin(server: &App) -> String {
    server.url.as_deref().unwrap().trim_end_matches("/api/create/").to_owned()
}

impl Person {
    /// Who is not logged in.
    pub fn at(server: &App) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { origin: origin(server), client, cookie: None, csrf: String::new() }
    }

    /// Who has logged in, and has the token for forms.
    pub async fn logged_in(server: &App, username: &str) -> Self {
        let mut person = Self::at(server);
        let response = person.log_in(username, PASSWORD, &[]).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        person.read_csrf().await;
        person
    }

    /// Takes the token from a page.
    pub async fn read_csrf(&mut self) {
        let html = self.html("/admin/account/").await;
        let (_, rest) = html.split_once(r#"name="csrf_token" value=""#).expect("a form");
        self.csrf = rest.split('"').next().unwrap().to_owned();
        assert!(self.csrf.len() >= 32, "{:?}", self.csrf);
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.origin)).header(ACCEPT, "text/html");
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// Of a page that is there.
    pub async fn html(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.unwrap()
    }

    /// Sends a form with the token.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let fields: Vec<_> = fields.iter().copied().chain([("csrf_token", self.csrf.as_str())]).collect();
        self.request(Method::POST, path).form(&fields).send().await.unwrap()
    }

    /// Sends the log-in form, and keeps the cookie that comes back.
    pub async fn log_in(&mut self, username: &str, password: &str, headers: &[(&'static str, &str)]) -> Response {
        let mut request = self.request(Method::POST, "/admin/login/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let form = [("username", username), ("password", password), ("next", "/admin/account/")];
        let response = request.form(&form).send().await.unwrap();
        self.keep(&response);
        response
    }

    pub fn keep(&mut self, response: &Response) {
        if let Some(cookie) = set_cookie(response) {
            self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        }
    }

    /// Whether the server knows who this is.
    pub async fn is_known(&self) -> bool {
        let response = self.get("/admin/account/").await;
        match response.status() {
            StatusCode::OK => true,
            StatusCode::SEE_OTHER => {
                assert_eq!(location(&response), "/admin/login/?next=%2Fadmin%2Faccount%2F");
                false
            }
            status => panic!("{status}"),
        }
    }
}

pub fn location(response: &Response) -> &str {
    response.headers()["location"].to_str().unwrap()
}

pub fn set_cookie(response: &Response) -> Option<String> {
    response.headers().get(SET_COOKIE).map(|cookie| cookie.to_str().unwrap().to_owned())
}

/// What the audit log holds of an action: who, and what about.
pub async fn audited(app: &TestApp, action: &str) -> Vec<(String, String)> {
    sqlx::query_as("select actor, detail from audit_log where action = $1 order by id")
        .bind(action)
        .fetch_all(&app.pool)
        .await
        .unwrap()
}
