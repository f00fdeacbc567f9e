//! `/api/create/`, the tutorial's endpoint: upload a document, list documents.

use actix_multipart::Multipart;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use serde::Serialize;

use super::form::{Form, Valid};
use super::receive::ReceiveError;
use super::{State, drf};
use crate::documents::{self, NewDocument};

pub fn resource(path: &str) -> Resource {
    web::resource(path)
        .route(web::get().to(list))
        .route(web::head().to(list))
        .route(web::post().to(create))
        .default_service(web::to(drf::method_not_allowed))
}

#[derive(Serialize)]
struct DocumentJson<'a> {
    title: &'a str,
    file: String,
}

async fn list(state: web::Data<State>) -> HttpResponse {
    match documents::list(&state.pool).await {
        Ok(rows) => {
            let body: Vec<_> = rows
                .iter()
                .map(|row| DocumentJson { title: &row.title, file: state.storage.url(&row.object_key) })
                .collect();
            drf::json(StatusCode::OK, &body)
        }
        Err(error) => failed(&error.into()),
    }
}

async fn create(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("multipart/form-data") {
        let text = format!("Unsupported media type \"{media_type}\" in request.");
        return drf::detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text);
    }
    let multipart = Multipart::new(request.headers(), payload);
    // A task of its own: it cleans up even when the client hangs up and this handler is dropped.
    let task = actix_web::rt::spawn(async move { store(&state, multipart).await });
    match task.await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "an upload's task ended");
            HttpResponse::InternalServerError().finish()
        }
    }
}

async fn store(state: &State, multipart: Multipart) -> HttpResponse {
    let Ok(_turn) = state.uploads.acquire().await else { return HttpResponse::ServiceUnavailable().finish() };
    let mut form = Form::default();
    let received = state.receive(multipart, &mut form).await;
    let refusal = match (received, form.validate()) {
        (Err(error), _) => failed(&error),
        (Ok(()), Err(errors)) => drf::json(StatusCode::BAD_REQUEST, &errors),
        (Ok(()), Ok(valid)) => match insert(state, &valid).await {
            Ok(()) => return created(state, &valid),
            Err(error) => failed(&error.into()),
        },
    };
    state.discard(&mut form).await;
    refusal
}

fn created(state: &State, valid: &Valid) -> HttpResponse {
    let body = DocumentJson { title: valid.title.as_str(), file: state.storage.url(valid.key.as_str()) };
    drf::json(StatusCode::CREATED, &body)
}

/// The row and its job, in one transaction.
async fn insert(state: &State, valid: &Valid) -> sqlx::Result<()> {
    let new = NewDocument {
        title: &valid.title,
        object_key: valid.key.as_str(),
        size: valid.upload.size,
        sha256: &valid.upload.sha256,
    };
    let mut tx = state.pool.begin().await?;
    let id = documents::insert(&mut tx, &new).await?;
    tx.commit().await?;
    tracing::info!(document = id, key = new.object_key, size = new.size, "uploaded");
    Ok(())
}

/// The answer to what went wrong; details of our own faults go to the log only.
fn failed(error: &ReceiveError) -> HttpResponse {
    match error {
        ReceiveError::Multipart(_) | ReceiveError::TextTooLarge => {
            drf::detail(StatusCode::BAD_REQUEST, &error.to_string())
        }
        ReceiveError::Idle => drf::detail(StatusCode::REQUEST_TIMEOUT, &error.to_string()),
        ReceiveError::FileTooLarge { .. } => drf::detail(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string()),
        ReceiveError::Storage(error) => {
            tracing::error!(%error, "upload failed");
            drf::detail(
                StatusCode::SERVICE_UNAVAILABLE,
                "The object storage does not answer. Nothing was kept; try again later.",
            )
        }
        ReceiveError::Database(error) => {
            tracing::error!(%error, "request failed");
            drf::detail(
                StatusCode::SERVICE_UNAVAILABLE,
                "The database does not answer. Nothing was kept; try again later.",
            )
        }
    }
}
