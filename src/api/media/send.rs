use std::pin::pin;
use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ContentEncoding, ETAG, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;

use super::kind::{Kind, START};
use super::range::{Wanted, is_known};
use crate::api::State;
use crate::api::v1::problem::{Code, Problem, Result};
use crate::storage::{ObjectHead, ObjectKey, StorageError};

/// A client that reads nothing for this long is given up, and with it the connection to the bucket.
const STALLED: Duration = Duration::from_secs(60);
/// Browsers keep the bytes, and ask each time whether they still hold: documents are deleted and processed again.
const CACHING: &str = "private, no-cache";

/// Answers with an object, or the part of it that is asked for, as it comes from the bucket.
pub async fn send(state: &State, request: &HttpRequest, key: &ObjectKey) -> Result<HttpResponse> {
    let missing = || Problem::new(Code::NotFound, format!("The bucket has no object {}.", key.as_str()));
    let problem = |error| match error {
        StorageError::NotFound(_) | StorageError::Changed(_) => missing(),
        error => error.into(),
    };
    let head = state.storage.head(key).await.map_err(problem)?;
    let etag = head.etag.as_deref();
    if etag.is_some_and(|etag| is_known(request, etag)) {
        return Ok(answer(StatusCode::NOT_MODIFIED, etag).finish());
    }
    let wanted = Wanted::of(request, head.size, etag);
    if wanted == Wanted::Outside {
        let detail = format!("The file has {} bytes; none of them is in the range asked for.", head.size);
        let mut response = Problem::new(Code::RangeNotSatisfiable, detail).error_response();
        if let Ok(size) = format!("bytes */{}", head.size).parse() {
            response.headers_mut().insert(CONTENT_RANGE, size);
        }
        return Ok(response);
    }
    let kind = kind(state, key, &head).await.map_err(problem)?;
    let (mut response, range) = match wanted {
        Wanted::Part(range) => {
            let mut response = answer(StatusCode::PARTIAL_CONTENT, etag);
            let place = format!("bytes {}-{}/{}", range.start, range.end - 1, head.size);
            response.insert_header((CONTENT_RANGE, place));
            (response, range)
        }
        _ => {
            let mut response = answer(StatusCode::OK, etag);
            // Compressed it would have another size and another version.
            response.insert_header(ContentEncoding::Identity);
            (response, 0..head.size)
        }
    };
    response
        .insert_header((CONTENT_TYPE, kind.content_type()))
        .insert_header((CONTENT_DISPOSITION, kind.disposition(key)))
        .insert_header((CONTENT_SECURITY_POLICY, kind.policy()));
    let size = range.end - range.start;
    if request.method() == Method::HEAD || size == 0 {
        return Ok(response.body(SizedStream::new(size, stream::empty::<std::result::Result<Bytes, StorageError>>())));
    }
    let body = state.storage.read(key, &head, range).await.map_err(problem)?;
    Ok(response.body(SizedStream::new(size, as_it_is_read(key.as_str().to_owned(), body))))
}

fn answer(status: StatusCode, etag: Option<&str>) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((CACHE_CONTROL, CACHING))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if let Some(etag) = etag {
        response.insert_header((ETAG, etag));
    }
    response
}

/// Results are what our workers wrote; anything else may be whatever a client sent.
async fn kind(state: &State, key: &ObjectKey, head: &ObjectHead) -> std::result::Result<Kind, StorageError> {
    if key.as_str().starts_with("results/") {
        return Ok(Kind::of_result(key));
    }
    if head.size == 0 {
        return Ok(Kind::Other);
    }
    let start = state.storage.read(key, head, 0..START.min(head.size)).await?;
    let start: Vec<Bytes> = start.try_collect().await?;
    Ok(Kind::of(&start.concat()))
}

/// Reads a chunk ahead of the client, and stops when the client has gone or stalls: an end before the announced size tells it.
fn as_it_is_read(
    key: String,
    body: impl Stream<Item = std::result::Result<Bytes, StorageError>> + 'static,
) -> impl Stream<Item = std::result::Result<Bytes, StorageError>> {
    let (sender, mut receiver) = mpsc::channel(1);
    actix_web::rt::spawn(async move {
        let mut body = pin!(body);
        loop {
            let chunk = tokio::select! {
                chunk = body.next() => chunk,
                () = sender.closed() => return,
            };
            let Some(chunk) = chunk else { return };
            if let Err(error) = &chunk {
                tracing::warn!(key, %error, "a file's transfer breaks off");
            }
            if sender.send_timeout(chunk, STALLED).await.is_err() {
                return;
            }
        }
    });
    stream::poll_fn(move |context| receiver.poll_recv(context))
}
