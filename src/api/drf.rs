//! Answers as Django REST framework gives them: the headers, and JSON compact and raw.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

/// A JSON answer with DRF's headers.
pub fn json(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    let text = match serde_json::to_string(body) {
        Ok(text) => text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            return HttpResponse::InternalServerError().finish();
        }
    };
    HttpResponse::build(status)
        .insert_header(("Content-Type", "application/json"))
        .insert_header(("Vary", "Accept, Cookie"))
        .insert_header(("Allow", "GET, POST, HEAD, OPTIONS"))
        .insert_header(("X-Frame-Options", "DENY"))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("Referrer-Policy", "same-origin"))
        .insert_header(("Cross-Origin-Opener-Policy", "same-origin"))
        .body(text)
}

#[derive(Serialize)]
struct Detail<'a> {
    detail: &'a str,
}

/// `{"detail": …}`
pub fn detail(status: StatusCode, detail: &str) -> HttpResponse {
    json(status, &Detail { detail })
}

pub async fn not_found() -> HttpResponse {
    detail(StatusCode::NOT_FOUND, "Not found.")
}

pub async fn method_not_allowed(request: HttpRequest) -> HttpResponse {
    detail(StatusCode::METHOD_NOT_ALLOWED, &format!("Method \"{}\" not allowed.", request.method()))
}
