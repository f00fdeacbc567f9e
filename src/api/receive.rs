//! Reads a request's body into a form, sending a file to the bucket as it arrives.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::{Bytes, Payload};
use futures_util::{Stream, StreamExt, TryStreamExt};

use super::State;
use super::backpressure::{Gate, Meter};
use super::form::{FileField, Form, TitleField};
use crate::documents::{self, FileName, FileNameError};
use crate::storage::{StorageError, UploadError};

/// A client that sends nothing for this long is gone.
const IDLE: Duration = Duration::from_secs(30);
/// After the first 30 s a body must have come at this rate, in bytes a second, so that slow clients cannot hold all turns.
const MIN_RATE: u64 = 4096;
/// A body that is no multipart form has this long.
const SMALL_BODY: Duration = Duration::from_secs(60);
/// Fields beside title and file that are kept; the rest is passed over.
const MAX_OTHERS: usize = 100;
/// What a form may hold beside its file, in bytes (Django's DATA_UPLOAD_MAX_MEMORY_SIZE).
pub const MAX_FIELDS: usize = 2_621_440;

#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("Multipart form parse error - {0}")]
    Multipart(String),
    #[error("The request's body broke off: {0}")]
    BrokeOff(String),
    #[error("The client sent nothing for {} s.", IDLE.as_secs())]
    Idle,
    #[error("The request's body comes more slowly than {MIN_RATE} bytes a second.")]
    TooSlow,
    #[error("The form's fields are larger than {MAX_FIELDS} bytes.")]
    FieldsTooLarge,
    #[error("The file is larger than the limit of {limit} bytes (MAX_UPLOAD_MB).")]
    FileTooLarge { limit: u64 },
    #[error("Too many uploads wait for their turn.")]
    Busy,
    #[error("Too many of your uploads wait for their turn.")]
    ClientBusy,
    #[error("{limit} documents wait already (QUEUE_LIMIT).")]
    QueueFull { limit: u32 },
    #[error("The upload took too long, or became a document already.")]
    Expired,
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Reads a body that is no multipart form.
pub async fn read_body(payload: Payload) -> Result<Vec<u8>, IntakeError> {
    tokio::time::timeout(SMALL_BODY, read_patiently(payload)).await.unwrap_or(Err(IntakeError::TooSlow))
}

async fn read_patiently(payload: Payload) -> Result<Vec<u8>, IntakeError> {
    let mut body = vec![];
    let mut chunks = pin!(with_idle_timeout(payload, |e| IntakeError::BrokeOff(e.to_string())));
    while let Some(chunk) = chunks.try_next().await? {
        if body.len() + chunk.len() > MAX_FIELDS {
            return Err(IntakeError::FieldsTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A multipart body. Django takes one that ends without its last boundary for what came until then; a body that the client broke
/// off is something else, so the end of the stream is watched.
pub struct MultipartBody {
    multipart: Multipart,
    end: Rc<Cell<Option<End>>>,
    limit: u64,
}

impl MultipartBody {
    /// `limit` is what the whole body may have, in bytes.
    pub fn new(request: &HttpRequest, payload: Payload, limit: u64) -> Result<Self, IntakeError> {
        let headers = request.headers();
        check_boundary(headers)?;
        let said = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if said.is_some_and(|length| length > limit) {
            return Err(IntakeError::FileTooLarge { limit });
        }
        let end = Rc::new(Cell::new(None));
        let body = watch(payload, limit, request.conn_data::<Gate>().map(Gate::meter), end.clone());
        Ok(Self { multipart: Multipart::new(headers, body), end, limit })
    }
}

/// How a body's stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    TooLarge,
    TooSlow,
}

/// The payload, within its limit and at a pace: a body that comes more slowly than `MIN_RATE` after a start is cut off. The
/// connection is read no further than somebody asks for chunks.
fn watch(
    payload: Payload,
    limit: u64,
    meter: Option<Meter>,
    end: Rc<Cell<Option<End>>>,
) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    let meter = Rc::new(meter);
    // The clock starts when somebody asks: until then the upload waits for its turn.
    futures_util::stream::unfold((payload, limit, None), move |(mut payload, left, started)| {
        let (end, meter) = (end.clone(), meter.clone());
        async move {
            let started = started.unwrap_or_else(Instant::now);
            let next = poll_fn(|cx| {
                meter.iter().for_each(Meter::grant);
                payload.poll_next_unpin(cx)
            });
            let Some(item) = next.await else {
                end.set(Some(End::Whole));
                return None;
            };
            let left = match &item {
                Ok(chunk) => left.checked_sub(chunk.len() as u64),
                Err(_) => Some(left),
            };
            let Some(left) = left else {
                end.set(Some(End::TooLarge));
                return Some((Err(PayloadError::Overflow), (payload, 0, Some(started))));
            };
            let grace = started.elapsed().saturating_sub(IDLE).as_secs();
            if limit - left < grace * MIN_RATE {
                end.set(Some(End::TooSlow));
                return Some((Err(PayloadError::Incomplete(None)), (payload, left, Some(started))));
            }
            Some((item, (payload, left, Some(started))))
        }
    })
    // actix-multipart asks again after the end.
    .fuse()
}

/// What Django says of a Content-Type without a usable boundary.
fn check_boundary(headers: &HeaderMap) -> Result<(), IntakeError> {
    let bytes = headers.get(CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
    if !bytes.is_ascii() {
        let latin1: String = bytes.iter().map(|&b| char::from(b)).collect();
        return Err(IntakeError::Multipart(format!("Invalid non-ASCII Content-Type in multipart: {latin1}")));
    }
    let text = String::from_utf8_lossy(bytes);
    let boundary = text.split(';').skip(1).find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    });
    let valid =
        |b: &str| (1..=201).contains(&b.len()) && b.bytes().all(|c| (b' '..=b'~').contains(&c)) && !b.ends_with(' ');
    match boundary.as_deref() {
        Some(boundary) if valid(boundary) => Ok(()),
        other => Err(IntakeError::Multipart(format!("Invalid boundary in multipart: {}", other.unwrap_or("None")))),
    }
}

impl IntakeError {
    /// Seconds after which another try has a chance, where waiting helps.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Busy | Self::ClientBusy | Self::Storage(_) | Self::Database(_) => Some(5),
            Self::QueueFull { .. } => Some(60),
            _ => None,
        }
    }
}

impl State {
    /// Reads all parts of a multipart form. What was stored is in `form` even when an error ends the reading.
    pub async fn receive(&self, body: MultipartBody, form: &mut Form) -> Result<(), IntakeError> {
        let MultipartBody { multipart, end, limit } = body;
        match (self.receive_parts(multipart, form).await, end.get()) {
            (Err(IntakeError::BrokeOff(_)), Some(End::Whole)) => Ok(()),
            (Err(IntakeError::BrokeOff(_)), Some(End::TooLarge)) => Err(IntakeError::FileTooLarge { limit }),
            (Err(IntakeError::BrokeOff(_)), Some(End::TooSlow)) => Err(IntakeError::TooSlow),
            (result, _) => result,
        }
    }

    async fn receive_parts(&self, multipart: Multipart, form: &mut Form) -> Result<(), IntakeError> {
        let mut budget = MAX_FIELDS;
        let mut fields = pin!(with_idle_timeout(multipart, broke_off));
        while let Some(field) = fields.try_next().await? {
            let name = field.name().unwrap_or_default().to_owned();
            let sent = field.content_disposition().and_then(|d| d.get_filename()).unwrap_or_default().to_owned();
            match (name.as_str(), sent.is_empty()) {
                ("file", false) => self.receive_file(&sent, field, form).await?,
                // A file wins over a text of its name, wherever it stands.
                ("file", true) => {
                    drain(field).await?;
                    if matches!(form.file, FileField::Missing) {
                        form.file = FileField::NotAFile;
                    }
                }
                ("title", true) => {
                    let (text, end) = text(field, &mut budget).await?;
                    form.title = TitleField::Text(text);
                    end?;
                }
                ("title", false) => {
                    drain(field).await?;
                    form.title = TitleField::NotAString;
                }
                (_, true) if form.others.len() < MAX_OTHERS => {
                    let (text, end) = text(field, &mut budget).await?;
                    form.others.push((name, text));
                    end?;
                }
                _ => {
                    drain(field).await?;
                }
            }
        }
        Ok(())
    }

    async fn receive_file(&self, sent: &str, field: Field, form: &mut Form) -> Result<(), IntakeError> {
        let name = match FileName::parse(sent) {
            Ok(name) => name,
            Err(FileNameError::Missing) => return drain(field).await.map(|_| ()),
            Err(error) => {
                let size = drain(field).await?;
                self.discard(form).await;
                form.file = if size == 0 { FileField::Empty } else { FileField::BadName(error) };
                return Ok(());
            }
        };
        let content_type =
            field.content_type().map_or("application/octet-stream".to_owned(), |t| t.essence_str().to_owned());
        let (key, _) = self.reserve(&name).await?;
        let stream = pin!(with_idle_timeout(field, broke_off));
        let stored = self.storage.put_stream(&key, &content_type, self.settings.max_upload, stream).await;
        match stored {
            Ok(upload) => {
                self.discard(form).await;
                form.file = if upload.size > 0 {
                    FileField::Stored(key, upload)
                } else {
                    documents::forget_upload(&self.pool, key.as_str()).await?;
                    FileField::Empty
                };
                Ok(())
            }
            Err(error) => {
                self.remove(&key).await;
                Err(match error {
                    UploadError::TooLarge { limit } => IntakeError::FileTooLarge { limit },
                    UploadError::Storage(e) => e.into(),
                    UploadError::Sender(e) => e,
                })
            }
        }
    }
}

fn broke_off(error: MultipartError) -> IntakeError {
    IntakeError::BrokeOff(error.to_string())
}

/// The same stream, ended with an error when nothing comes for too long.
fn with_idle_timeout<T, E>(
    stream: impl Stream<Item = Result<T, E>>,
    error: fn(E) -> IntakeError,
) -> impl Stream<Item = Result<T, IntakeError>> {
    let stream = Box::pin(stream);
    futures_util::stream::unfold(stream, move |mut stream| async move {
        match tokio::time::timeout(IDLE, stream.next()).await {
            Ok(None) => None,
            Ok(Some(item)) => Some((item.map_err(error), stream)),
            Err(_) => Some((Err(IntakeError::Idle), stream)),
        }
    })
}

/// A field's text, also when it breaks off, and how it ended.
async fn text(field: Field, budget: &mut usize) -> Result<(String, Result<(), IntakeError>), IntakeError> {
    let mut bytes = vec![];
    let mut chunks = pin!(with_idle_timeout(field, broke_off));
    let end = loop {
        match chunks.try_next().await {
            Ok(Some(chunk)) => {
                *budget = budget.checked_sub(chunk.len()).ok_or(IntakeError::FieldsTooLarge)?;
                bytes.extend_from_slice(&chunk);
            }
            Ok(None) => break Ok(()),
            Err(e) => break Err(e),
        }
    };
    Ok((String::from_utf8_lossy(&bytes).into_owned(), end))
}

/// Reads a field to its end and says how many bytes it had.
async fn drain(field: Field) -> Result<usize, IntakeError> {
    with_idle_timeout(field, broke_off).try_fold(0, |sum, chunk| async move { Ok(sum + chunk.len()) }).await
}
