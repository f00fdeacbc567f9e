//! `POST /api/v1/documents`: a form with a file, or JSON that says where the file is.

use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::document_request::{DocumentForm, DocumentRequest, check_url, title};
use super::idempotency::{Idempotency, Source};
use super::json::{Document, location};
use super::problem::{Code, Problem, Result};
use super::read::document;
use super::results::find_document;
use crate::api::State;
use crate::api::form::Form;
use crate::api::receive::{IntakeError, MAX_FIELDS, MultipartBody, read_body};
use crate::api::requester::Requester;
use crate::documents::{self, DocumentRow, FileName, NewDocument, NewFile, Options, Title};
use crate::storage::{ObjectKey, StorageError};

/// Make a document
///
/// A form with the file; or JSON with the `url` of a file that the worker is to get, or with the id of an `upload`.
#[utoipa::path(
    post, path = "/api/v1/documents", tag = "documents", operation_id = "create_document",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        description = "A second request with this key and the same file, title and options is answered with the first one's document")),
    request_body(content((DocumentForm = "multipart/form-data"), (DocumentRequest = "application/json"))),
    responses((status = 202, description = "Queued", body = Document, headers(("Location" = String))))
)]
pub async fn create(request: HttpRequest, payload: Payload, state: web::Data<State>) -> Result<HttpResponse> {
    let key = idempotency_key(&request)?;
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let row = match media_type.as_str() {
        "multipart/form-data" => {
            let keep = async |state: &State, request: &HttpRequest, form: &mut Form| {
                keep_form(state, request, form, key).await
            };
            receive_form(&state, &request, payload, keep).await?
        }
        "application/json" => {
            let body = read_body(payload).await?;
            let wishes = serde_json::from_slice(&body);
            let wishes = wishes.map_err(|e| Problem::new(Code::InvalidForm, format!("The JSON: {e}.")))?;
            from_request(&state, &request, &wishes, key).await?
        }
        _ => {
            let detail = format!("The body must be multipart/form-data or application/json, not {media_type:?}.");
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
    };
    let location = location(row.id);
    Ok(HttpResponse::Accepted().insert_header((LOCATION, location)).json(document(&state, &request, row).await?))
}

fn idempotency_key(request: &HttpRequest) -> Result<Option<String>> {
    let Some(header) = request.headers().get("Idempotency-Key") else { return Ok(None) };
    let key = header.to_str().ok().filter(|k| (1..=255).contains(&k.len()));
    key.map(|k| Some(k.to_owned()))
        .ok_or_else(|| Problem::parameter("Idempotency-Key", "must be 1 to 255 ASCII characters"))
}

/// Reads a multipart form, whose file is in the bucket then, and lets `keep` make something of it; after an error the file is removed.
pub async fn receive_form<T: 'static>(
    state: &web::Data<State>,
    request: &HttpRequest,
    payload: Payload,
    keep: impl AsyncFnOnce(&State, &HttpRequest, &mut Form) -> Result<T> + 'static,
) -> Result<T> {
    let limit = state.settings.max_upload + MAX_FIELDS as u64;
    let body = MultipartBody::new(request, payload, limit)?;
    let (state, request) = (state.clone(), request.clone());
    // A task of its own: it cleans up even when the client hangs up and the handler is dropped.
    let task = actix_web::rt::spawn(async move {
        let _turn = state.turn(&request, Requester::of(&state, &request).client).await?;
        let mut form = Form::default();
        let received = state.receive(body, &mut form).await.map_err(Problem::from);
        let kept = match received {
            Ok(()) => keep(&state, &request, &mut form).await,
            Err(problem) => Err(problem),
        };
        if kept.is_err() {
            state.discard(&mut form).await;
        }
        kept
    });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "an upload's task ended");
        Err(Problem::new(Code::Internal, "The upload was not kept. Try again later."))
    })
}

/// Makes a document of a form with a file.
pub async fn keep_form(
    state: &State,
    request: &HttpRequest,
    form: &mut Form,
    key: Option<String>,
) -> Result<DocumentRow> {
    let sent = DocumentForm::parse(form)?;
    let mut options = sent.options(state).await?;
    let DocumentForm { file: (object, upload), title: asked, .. } = sent;
    let key = key.map(|k| Idempotency::of(k, asked.as_ref(), &options, Source::Sha256(&upload.sha256)));
    if let Some(row) = earlier(state, key.as_ref()).await? {
        state.discard(form).await;
        return Ok(row);
    }
    options.idempotency = key.as_ref().map(Idempotency::kept);
    let title = asked.map_or_else(|| title(file_name(&object)), Ok)?;
    let file = NewFile::Stored { size: upload.size, sha256: Some(upload.sha256) };
    let new = NewDocument { title: &title, object_key: object.as_str(), file: &file, options: &options };
    let inserted = state.insert_form(&Requester::of(state, request), form, &new).await;
    settle(state, key.as_ref(), inserted).await
}

/// Makes a document of a file that is elsewhere.
pub async fn from_request(
    state: &State,
    request: &HttpRequest,
    wishes: &DocumentRequest,
    key: Option<String>,
) -> Result<DocumentRow> {
    state.check_queue().await?;
    let mut options = wishes.options(state).await?;
    match (&wishes.url, &wishes.upload) {
        (Some(url), None) => {
            check_url(state, "url", url)?;
            let name = name_in_url(url);
            let asked = wishes.title.as_deref().map(title).transpose()?;
            let file = NewFile::At(url.clone());
            let key = key.map(|k| Idempotency::of(k, asked.as_ref(), &options, Source::Url(url)));
            if let Some(row) = earlier(state, key.as_ref()).await? {
                return Ok(row);
            }
            options.idempotency = key.as_ref().map(Idempotency::kept);
            let title = asked.map_or_else(|| title(name.as_str()), Ok)?;
            let (object, _) = state.reserve_apart(&name).await?;
            let inserted = insert(state, request, &title, &object, &file, &options).await;
            if inserted.is_err() {
                documents::forget_upload(&state.pool, object.as_str()).await?;
            }
            settle(state, key.as_ref(), inserted).await
        }
        (None, Some(id)) => {
            let asked = wishes.title.as_deref().map(title).transpose()?;
            let key = key.map(|k| Idempotency::of(k, asked.as_ref(), &options, Source::Upload(*id)));
            if let Some(row) = earlier(state, key.as_ref()).await? {
                return Ok(row);
            }
            options.idempotency = key.as_ref().map(Idempotency::kept);
            let unknown =
                || Problem::new(Code::UnknownUpload, format!("There is no upload {id} that waits to be used."));
            let Some(upload) = documents::open_upload(&state.pool, *id).await? else {
                return earlier(state, key.as_ref()).await?.ok_or_else(unknown);
            };
            let object = ObjectKey::parse(upload.object_key)?;
            let file = NewFile::Stored { size: uploaded_size(state, &object).await?, sha256: None };
            let title = asked.map_or_else(|| title(file_name(&object)), Ok)?;
            let inserted = insert(state, request, &title, &object, &file, &options).await;
            settle(state, key.as_ref(), inserted).await
        }
        _ => Err(Problem::new(Code::InvalidForm, "Either `url` or `upload` must be given.")),
    }
}

async fn insert(
    state: &State,
    request: &HttpRequest,
    title: &Title,
    object: &ObjectKey,
    file: &NewFile,
    options: &Options,
) -> std::result::Result<i64, IntakeError> {
    let new = NewDocument { title, object_key: object.as_str(), file, options };
    state.insert(&Requester::of(state, request), &new).await
}

/// The name under which an object was stored.
fn file_name(object: &ObjectKey) -> &str {
    object.as_str().trim_start_matches("media/")
}

/// The last part of a URL's path, if it can be a file's name.
fn name_in_url(url: &str) -> FileName {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let last = path.splitn(4, '/').nth(3).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let name = percent_encoding::percent_decode_str(last).decode_utf8_lossy();
    FileName::parse(&name).unwrap_or_else(|_| FileName::fallback())
}

/// Bytes of an object that a client put into the bucket; one that is too large is removed.
async fn uploaded_size(state: &State, object: &ObjectKey) -> Result<u64> {
    let limit = state.settings.max_upload;
    match state.storage.size(object).await {
        Ok(0) => Err(Problem::new(Code::MissingFile, "The uploaded file is empty.")),
        Ok(size) if size > limit => {
            state.remove(object).await;
            Err(IntakeError::FileTooLarge { limit }.into())
        }
        Ok(size) => Ok(size),
        Err(StorageError::NotFound(_)) => {
            Err(Problem::new(Code::MissingFile, "Nothing has been sent to the upload's URL yet."))
        }
        Err(error) => Err(error.into()),
    }
}

async fn settle(
    state: &State,
    key: Option<&Idempotency>,
    inserted: std::result::Result<i64, IntakeError>,
) -> Result<DocumentRow> {
    match inserted {
        Ok(id) => find_document(state, id).await,
        // Another request with this idempotency key was a moment faster.
        Err(IntakeError::Database(error)) if error.as_database_error().is_some_and(|e| e.is_unique_violation()) => {
            earlier(state, key).await?.ok_or_else(|| error.into())
        }
        Err(IntakeError::Expired) => earlier(state, key).await?.ok_or_else(|| IntakeError::Expired.into()),
        Err(error) => Err(error.into()),
    }
}

/// The document of an earlier request with the same idempotency key.
async fn earlier(state: &State, idempotency: Option<&Idempotency>) -> Result<Option<DocumentRow>> {
    let Some(idempotency) = idempotency else { return Ok(None) };
    let key = &idempotency.key;
    let Some(id) = documents::by_idempotency_key(&state.pool, key).await? else { return Ok(None) };
    let Some(row) = documents::get(&state.pool, id).await? else { return Ok(None) };
    if !idempotency.is_of(&row) {
        let detail = format!("Idempotency-Key {key:?} stands for another file, title or options (document {id}).");
        return Err(Problem::new(Code::IdempotencyMismatch, detail));
    }
    Ok(Some(row))
}
