//! Answers as Django REST framework gives them: its headers, and JSON compact and raw or the browsable page.

use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::Stream;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::negotiate::Renderer;
use super::page;

/// A JSON answer's text; with indentation as Python's `json.dumps(indent=…)` writes it.
pub(super) fn to_text(body: &impl Serialize, indent: usize) -> serde_json::Result<String> {
    let bytes = if indent == 0 {
        serde_json::to_vec(body)?
    } else {
        let spaces = b"        ";
        let mut bytes = vec![];
        let mut serializer =
            Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(&spaces[..indent.min(8)]));
        body.serialize(&mut serializer)?;
        bytes
    };
    let text = String::from_utf8_lossy(&bytes);
    // Line separators that JavaScript once took for ends of lines.
    Ok(text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"))
}

/// An answer in the form that the client asked for.
pub fn answer(request: &HttpRequest, renderer: Renderer, status: StatusCode, body: &impl Serialize) -> HttpResponse {
    match to_text(body, renderer.indent()) {
        Ok(text) if renderer == Renderer::Html => respond(renderer, status, page::render(request, status, &text)),
        Ok(text) => respond(renderer, status, text),
        Err(error) => unwritable(&error),
    }
}

/// An answer with a body that is written already.
pub(super) fn respond(renderer: Renderer, status: StatusCode, body: String) -> HttpResponse {
    camel_case(head(renderer, status).body(body))
}

/// An answer whose body comes bit by bit.
pub(super) fn stream<S, E>(renderer: Renderer, body: S) -> HttpResponse
where
    S: Stream<Item = Result<Bytes, E>> + 'static,
    E: Into<Box<dyn std::error::Error>> + 'static,
{
    camel_case(head(renderer, StatusCode::OK).streaming(body))
}

pub(super) fn unwritable(error: &serde_json::Error) -> HttpResponse {
    tracing::error!(%error, "an answer could not be written as JSON");
    HttpResponse::InternalServerError().finish()
}

fn head(renderer: Renderer, status: StatusCode) -> HttpResponseBuilder {
    let content_type = match renderer {
        Renderer::Json { .. } => "application/json",
        Renderer::Html => "text/html; charset=utf-8",
    };
    let mut response = HttpResponse::build(status);
    response
        .insert_header(("Content-Type", content_type))
        .insert_header(("Vary", "Accept, Cookie"))
        .insert_header(("Allow", "GET, POST, HEAD, OPTIONS"))
        .insert_header(("X-Frame-Options", "DENY"))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("Referrer-Policy", "same-origin"))
        .insert_header(("Cross-Origin-Opener-Policy", "same-origin"));
    response
}

/// Header names are written as Django writes them, for clients that compare them to the letter.
fn camel_case(mut response: HttpResponse) -> HttpResponse {
    response.head_mut().set_camel_case_headers(true);
    response
}

#[derive(Serialize)]
pub struct Detail<'a> {
    pub detail: &'a str,
}

/// `{"detail": …}`
pub fn detail(request: &HttpRequest, renderer: Renderer, status: StatusCode, detail: &str) -> HttpResponse {
    answer(request, renderer, status, &Detail { detail })
}

/// A path that nothing is at.
pub async fn not_found(request: HttpRequest) -> HttpResponse {
    detail(&request, Renderer::Json { indent: 0 }, StatusCode::NOT_FOUND, "Not found.")
}
