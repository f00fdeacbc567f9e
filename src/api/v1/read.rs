//! `GET /api/v1/documents` and `GET /api/v1/documents/{id}`

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};

use super::json::{Document, DocumentList};
use super::params::{Query, path};
use super::problem::{Code, Problem, Result};
use super::results::find_document;
use crate::api::State;
use crate::api::media::UrlBase;
use crate::documents::{self, Cursor, DocumentRow, Filter, Status};
use crate::queue::{self, Standing};

/// Routers on the way (Heroku's, say) give up after 30 s.
pub const MAX_WAIT: u64 = 25;

/// A row as clients see it, with its place in the queue.
pub async fn document(state: &State, request: &HttpRequest, row: DocumentRow) -> Result<Document> {
    let file = state.file_url(&state.url_base(request), &row.object_key);
    if row.status.is_final() {
        return Ok(Document::new(row, None, None, file));
    }
    let standing = queue::standings(&state.pool, &[row.id]).await?.pop();
    let position = match row.status {
        Status::Pending => queue::position(&state.pool, row.id).await?,
        _ => None,
    };
    Ok(Document::new(row, standing, position, file))
}

/// Read a document
///
/// With `?wait=N` the answer comes when the document is done, failed or canceled, after N seconds at the latest.
#[utoipa::path(
    get, path = "/api/v1/documents/{id}", tag = "documents", operation_id = "get_document",
    params(
        ("id" = i64, Path, minimum = 1),
        ("wait" = Option<u64>, Query, minimum = 0, maximum = 25, description = "Seconds to wait for the end"),
    ),
    responses((status = 200, description = "The document", body = Document))
)]
pub async fn get(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let id: i64 = path(&request, "id")?;
    let mut query = Query::of(&request);
    let wait = query.number("wait", 0, MAX_WAIT)?.unwrap_or(0);
    query.done()?;
    let deadline = Instant::now() + Duration::from_secs(wait);
    let mut changes = state.events.subscribe();
    loop {
        let row = find_document(&state, id).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if row.status.is_final() || left.is_zero() {
            return Ok(HttpResponse::Ok().json(document(&state, &request, row).await?));
        }
        let _ = tokio::time::timeout(left, changes.of(&[id])).await;
    }
}

fn parse_cursor(text: &str) -> Result<Cursor> {
    Cursor::parse(text).ok_or_else(|| Problem::parameter("cursor", "must be the next_cursor of an answer"))
}

/// List documents
///
/// A part of the list may hold fewer than `limit` although there is more: `next_cursor` says so.
#[utoipa::path(
    get, path = "/api/v1/documents", tag = "documents", operation_id = "list_documents",
    params(
        ("status" = Option<Status>, Query),
        ("title" = Option<String>, Query, description = "A part of the title, in any case"),
        ("created_after" = Option<String>, Query, format = DateTime, description = "At this time or later"),
        ("created_before" = Option<String>, Query, format = DateTime),
        ("sort" = Option<String>, Query, pattern = "^(newest|oldest)$", description = "newest (first, the default) or oldest"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 200, description = "50 if it is not given"),
        ("cursor" = Option<String>, Query, pattern = "^[0-9]{1,18}(-[0-9]{1,18})?$", description = "`next_cursor` of the answer before"),
    ),
    responses((status = 200, description = "A part of the list", body = DocumentList))
)]
pub async fn list(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let mut query = Query::of(&request);
    let wrong = || Problem::parameter("status", "must be pending, processing, done, failed or canceled");
    let status = query.take("status").map(Status::try_from).transpose().map_err(|_| wrong())?;
    let oldest_first = match query.take("sort").as_deref() {
        None | Some("newest") => false,
        Some("oldest") => true,
        Some(_) => return Err(Problem::parameter("sort", "must be newest or oldest")),
    };
    let limit = query.number("limit", 1, 200)?.unwrap_or(50);
    let title = query.take("title");
    if title.as_ref().is_some_and(|t| t.contains('\0')) {
        return Err(Problem::parameter("title", "no title has null characters"));
    }
    let filter = Filter {
        status,
        title,
        created_after: query.time("created_after")?,
        created_before: query.time("created_before")?,
        oldest_first,
        after: query.take("cursor").map(|text| parse_cursor(&text)).transpose()?,
        limit,
    };
    query.done()?;
    let (base, own) = (state.url_base(&request), state.clone());
    let question = format!("documents {filter:?} {base:?}");
    let list = state.together.ask(question, move || async move { find(&own, &base, &filter).await }).await?;
    Ok(HttpResponse::Ok().content_type("application/json").body(list))
}

/// A part of the list, as text.
async fn find(state: &State, base: &UrlBase, filter: &Filter) -> Result<Bytes> {
    let part = documents::search(&state.pool, filter).await?;
    let (rows, next_cursor) = (part.documents, part.next.map(|cursor| cursor.to_string()));
    let live: Vec<i64> = rows.iter().filter(|row| !row.status.is_final()).map(|row| row.id).collect();
    let standings = if live.is_empty() { vec![] } else { queue::standings(&state.pool, &live).await? };
    let mut standings: HashMap<i64, Standing> = standings.into_iter().map(|s| (s.document_id, s)).collect();
    let document = |row: DocumentRow| {
        let standing = standings.remove(&row.id);
        let file = state.file_url(base, &row.object_key);
        Document::new(row, standing, None, file)
    };
    let documents = rows.into_iter().map(document).collect();
    let text = serde_json::to_vec(&DocumentList { documents, next_cursor });
    Ok(text.map_err(|e| Problem::new(Code::Internal, e.to_string()))?.into())
}
