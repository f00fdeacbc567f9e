//! `/api/create/`, the tutorial's endpoint: a client of the Django application finds it as it was.
//!
//! The order of things is DRF's: negotiate, authenticate, then look at the method and only then at the body.

mod body;
pub mod drf;
mod error;
mod list;
mod metadata;
mod negotiate;
mod page;
mod python_json;
mod serializer;

use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER, VARY};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, Resource};
use base64::Engine;
use serde::Serialize;

pub(crate) use self::drf::not_found;
use self::error::Refused;
pub use self::list::Listings;
use self::metadata::metadata;
use self::negotiate::{Refusal, Renderer, negotiate};
use self::serializer::validate;
use super::State;
use super::auth::{self, Denied};
use super::client::Client;
use super::form::{Form, TitleField};
use super::receive::{MAX_FIELDS, MultipartBody};
use super::requester::Requester;
use crate::documents::{NewDocument, NewFile, Options, Title};

pub const PATH: &str = "/api/create/";

pub fn resource() -> Resource {
    web::resource(PATH).default_service(web::to(dispatch))
}

/// Without the slash: Django redirects what can be; a POST is served, since its body would be lost.
pub fn resource_without_slash() -> Resource {
    web::resource(PATH.trim_end_matches('/'))
        .route(web::get().to(redirect))
        .route(web::head().to(redirect))
        .default_service(web::to(dispatch))
}

async fn redirect(request: HttpRequest) -> HttpResponse {
    let query = match request.query_string() {
        "" => String::new(),
        query => format!("?{query}"),
    };
    let mut response = HttpResponse::MovedPermanently()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((LOCATION, format!("{PATH}{query}")))
        .finish();
    response.head_mut().set_camel_case_headers(true);
    response
}

async fn dispatch(request: HttpRequest, payload: Payload, state: web::Data<State>) -> HttpResponse {
    let renderer = match negotiate(&request) {
        Ok(renderer) => renderer,
        Err(refusal) => return refuse(&request, refusal),
    };
    let detail = |status, text: &str| drf::detail(&request, renderer, status, text);
    if let Some(reason) = bad_credentials(&request) {
        return detail(StatusCode::FORBIDDEN, reason);
    }
    let client = match auth::admit(&state, &request, state.settings.legacy_auth).await {
        Ok(Ok(client)) => client,
        Ok(Err(Denied::TooMany(wait))) => {
            let seconds = Denied::retry_after(wait);
            let text = format!("Request was throttled. Expected available in {seconds} second{}.", plural(seconds));
            let mut response = detail(StatusCode::TOO_MANY_REQUESTS, &text);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            return response;
        }
        Ok(Err(Denied::CrossSite)) => {
            return detail(StatusCode::FORBIDDEN, "CSRF Failed: CSRF token missing.");
        }
        Ok(Err(Denied::ReadOnly)) => {
            return detail(StatusCode::FORBIDDEN, "You do not have permission to perform this action.");
        }
        Ok(Err(Denied::Unknown)) => {
            return detail(StatusCode::FORBIDDEN, "Authentication credentials were not provided.");
        }
        Err(error) => return Refused::from(error).answer(&request, renderer),
    };
    match request.method() {
        &Method::GET | &Method::HEAD => list::list(&request, client, renderer, state).await,
        &Method::POST => create(request, client, renderer, payload, state).await,
        &Method::OPTIONS => drf::answer(&request, renderer, StatusCode::OK, &metadata()),
        method => detail(StatusCode::METHOD_NOT_ALLOWED, &format!("Method \"{method}\" not allowed.")),
    }
}

/// Negotiation failed before a session was looked for, so the answer does not vary by cookie.
fn refuse(request: &HttpRequest, refusal: Refusal) -> HttpResponse {
    let json = Renderer::Json { indent: 0 };
    let mut response = match refusal {
        Refusal::NotFound => drf::detail(request, json, StatusCode::NOT_FOUND, "Not found."),
        Refusal::NotAcceptable => {
            drf::detail(request, json, StatusCode::NOT_ACCEPTABLE, "Could not satisfy the request Accept header.")
        }
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

/// No authentication is needed, but DRF refuses a Basic pair that fits no user; other schemes are ignored. There are no users.
fn bad_credentials(request: &HttpRequest) -> Option<&'static str> {
    let header = request.headers().get(AUTHORIZATION)?;
    let parts: Vec<&[u8]> = header.as_bytes().split(u8::is_ascii_whitespace).filter(|p| !p.is_empty()).collect();
    if !parts.first()?.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    match parts[1..] {
        [] => Some("Invalid basic header. No credentials provided."),
        [pair] => match base64::engine::general_purpose::STANDARD.decode(pair) {
            Ok(decoded) if decoded.contains(&b':') => Some("Invalid username/password."),
            _ => Some("Invalid basic header. Credentials not correctly base64 encoded."),
        },
        _ => Some("Invalid basic header. Credentials string should not contain spaces."),
    }
}

#[derive(Serialize)]
struct DocumentJson<'a> {
    title: &'a str,
    file: String,
}

fn plural(number: u64) -> &'static str {
    if number == 1 { "" } else { "s" }
}

async fn create(
    request: HttpRequest,
    client: Client,
    renderer: Renderer,
    payload: Payload,
    state: web::Data<State>,
) -> HttpResponse {
    if body::kind(&request) == body::Kind::Multipart {
        // A task of its own: it cleans up even when the client hangs up and this handler is dropped.
        let task = actix_web::rt::spawn(async move {
            store(&state, &request, client, renderer, payload)
                .await
                .unwrap_or_else(|refused| refused.answer(&request, renderer))
        });
        return task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "an upload's task ended");
            HttpResponse::InternalServerError().finish()
        });
    }
    // Only a multipart form can hold a file, so all others lack something.
    let form = body::read(&request, payload).await;
    match form.and_then(|form| validate(&form).map_err(Refused::Fields)) {
        Ok(_) => HttpResponse::InternalServerError().finish(),
        Err(refused) => refused.answer(&request, renderer),
    }
}

async fn store(
    state: &State,
    request: &HttpRequest,
    client: Client,
    renderer: Renderer,
    payload: Payload,
) -> Result<HttpResponse, Refused> {
    let body = MultipartBody::new(request, payload, state.settings.max_upload + MAX_FIELDS as u64)?;
    let _turn = state.turn(request, client).await?;
    let mut form = Form::default();
    let received = state.receive(body, &mut form).await.map_err(Refused::from);
    if let TitleField::Text(title) = &form.title {
        let context = page::Context { title: title.chars().take(Title::MAX_CHARS).collect(), ..Default::default() };
        request.extensions_mut().insert(context);
    }
    let valid = match received.and_then(|()| validate(&form).map_err(Refused::Fields)) {
        Ok(valid) => valid,
        Err(refused) => {
            state.discard(&mut form).await;
            return Err(refused);
        }
    };
    let file = NewFile::Stored { size: valid.upload.size, sha256: Some(valid.upload.sha256.clone()) };
    let (object_key, options) = (valid.key.as_str(), Options::default());
    let new = NewDocument { title: &valid.title, object_key, file: &file, options: &options };
    let id = state.insert_form(&Requester::new(state, request, client), &mut form, &new).await?;
    let documents = vec![(id, valid.title.as_str().to_owned())];
    request.extensions_mut().insert(page::Context { documents, ..Default::default() });
    let file = state.file_url(&state.url_base(request), valid.key.as_str());
    let body = DocumentJson { title: valid.title.as_str(), file };
    Ok(drf::answer(request, renderer, StatusCode::CREATED, &body))
}
