//! Cancel, retry, reprocess, delete.

use actix_web::{HttpRequest, HttpResponse, web};

use super::document_request::ReprocessRequest;
use super::json::Document;
use super::params::path;
use super::problem::{self, Code, Problem, Result};
use super::read::document;
use super::results::find_document;
use crate::api::State;
use crate::api::requester::{Change, Requester};
use crate::documents::Changed;

/// Cancel a document
///
/// A waiting one leaves the queue, a running one stops at its next page.
#[utoipa::path(
    post, path = "/api/v1/documents/{id}/cancel", tag = "documents", operation_id = "cancel_document", params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, description = "The document as it is now", body = Document), (status = 409, description = "Not possible in its status", body = problem::Body, content_type = "application/problem+json"))
)]
pub async fn cancel(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    change(&state, &request, Change::Cancel, "canceled: only waiting and running documents can be").await
}

/// Try a failed or canceled document again, or one with failed pages
///
/// Pages that have succeeded stay.
#[utoipa::path(
    post, path = "/api/v1/documents/{id}/retry", tag = "documents", operation_id = "retry_document", params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, description = "The document as it is now", body = Document), (status = 409, description = "Not possible in its status", body = problem::Body, content_type = "application/problem+json"))
)]
pub async fn retry(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let cannot = "retried: only failed and canceled documents can be, and those with failed pages";
    change(&state, &request, Change::Retry, cannot).await
}

/// Process a document again from the start
///
/// Its results stay until the new ones are complete; a run that fails or is canceled leaves them as they are. The body may ask for other pages,
/// thresholds, another model or priority; what it does not name is as it was.
#[utoipa::path(
    post, path = "/api/v1/documents/{id}/reprocess", tag = "documents", operation_id = "reprocess_document", params(("id" = i64, Path, minimum = 1)),
    request_body(content = Option<ReprocessRequest>),
    responses((status = 200, description = "The document as it is now", body = Document), (status = 409, description = "Not possible in its status", body = problem::Body, content_type = "application/problem+json"))
)]
pub async fn reprocess(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> Result<HttpResponse> {
    let again = ReprocessRequest::parse(&body)?.again(&state).await?;
    let cannot = "processed again: only done, failed and canceled documents can be";
    change(&state, &request, Change::Reprocess(again), cannot).await
}

async fn change(state: &State, request: &HttpRequest, change: Change, cannot: &str) -> Result<HttpResponse> {
    let id = path(request, "id")?;
    match state.change(&Requester::of(state, request), id, &change).await? {
        Changed::Yes => {
            let row = find_document(state, id).await?;
            Ok(HttpResponse::Ok().json(document(state, request, row).await?))
        }
        Changed::NoSuchDocument => Err(Problem::no_document(id)),
        Changed::Refused(status) => {
            let status = status.name();
            Err(Problem::new(Code::StatusConflict, format!("Document {id} is {status} and cannot be {cannot}.")))
        }
    }
}

/// Delete a document
///
/// Rows and job go at once; objects that the storage does not let go of now are removed by a worker later.
#[utoipa::path(
    delete, path = "/api/v1/documents/{id}", tag = "documents", operation_id = "delete_document", params(("id" = i64, Path, minimum = 1)),
    responses((status = 204, description = "Gone"))
)]
pub async fn delete(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let id = path(&request, "id")?;
    match state.delete(&Requester::of(&state, &request), id).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::no_document(id)),
    }
}
