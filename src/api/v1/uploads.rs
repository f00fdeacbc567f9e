//! `POST /api/v1/uploads`: a place in the bucket that a client fills himself, without this server between.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::problem::{Code, Problem, Result};
use crate::accounts::Action;
use crate::api::State;
use crate::api::receive::read_body;
use crate::api::requester::Requester;
use crate::documents::FileName;

const SECONDS: u32 = 3600;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadRequest {
    /// Letters, digits, `-`, `_` and `.` of its last part are kept.
    #[schema(min_length = 1, max_length = 100)]
    file_name: String,
}

#[derive(Serialize, ToSchema)]
pub struct Upload {
    /// For `upload` in `POST /api/v1/documents`.
    id: Uuid,
    /// Send the file there with this method.
    method: &'static str,
    url: String,
    /// Until then the URL takes the file.
    #[serde(with = "time::serde::rfc3339")]
    url_expires_at: OffsetDateTime,
    /// What is no document by then is removed.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Begin an upload straight to the bucket
///
/// `PUT` the file to the `url` of the answer, then `POST /api/v1/documents` with its `id` as `upload`.
#[utoipa::path(
    post, path = "/api/v1/uploads", tag = "documents", operation_id = "create_upload", request_body = UploadRequest,
    responses((status = 201, description = "The file may be sent", body = Upload))
)]
pub async fn create(request: HttpRequest, payload: Payload, state: web::Data<State>) -> Result<HttpResponse> {
    let body = read_body(payload).await?;
    let wanted: UploadRequest =
        serde_json::from_slice(&body).map_err(|e| Problem::new(Code::InvalidForm, format!("The JSON: {e}.")))?;
    if !(1..=FileName::MAX_CHARS).contains(&wanted.file_name.chars().count()) {
        let why = format!("must have 1 to {} characters", FileName::MAX_CHARS);
        return Err(Problem::parameter("file_name", why));
    }
    let name = FileName::parse(&wanted.file_name).unwrap_or_else(|_| FileName::fallback());
    let (key, upload) = state.reserve_apart(&name).await?;
    let by = Requester::of(&state, &request);
    by.record(&mut *state.pool.acquire().await?, Action::CreateUpload, None, key.as_str()).await?;
    let url = state.storage.presign_put(&key, SECONDS).await?;
    let url_expires_at = OffsetDateTime::now_utc() + time::Duration::seconds(SECONDS.into());
    let (id, expires_at) = (upload.id, upload.expires_at);
    Ok(HttpResponse::Created().json(Upload { id, method: "PUT", url, url_expires_at, expires_at }))
}
