//! Reads a multipart form, sending the file to the bucket as it arrives.

use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use futures_util::{Stream, StreamExt, TryStreamExt};
use uuid::Uuid;

use super::State;
use super::form::{FileField, Form};
use crate::documents::{self, FileName};
use crate::storage::{ObjectKey, StorageError, UploadError};

/// A client that sends nothing for this long is gone.
const IDLE: Duration = Duration::from_secs(30);
/// A text field's size, in bytes; a title is at most 800.
const MAX_TEXT: usize = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("Multipart form parse error - {0}")]
    Multipart(#[from] MultipartError),
    #[error("The client sent nothing for {} s.", IDLE.as_secs())]
    Idle,
    #[error("A text field is larger than {MAX_TEXT} bytes.")]
    TextTooLarge,
    #[error("The file is larger than the limit of {limit} bytes (MAX_UPLOAD_MB).")]
    FileTooLarge { limit: u64 },
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl State {
    /// Reads all fields. What was stored is in `form` even when an error ends the reading.
    pub async fn receive(&self, multipart: Multipart, form: &mut Form) -> Result<(), ReceiveError> {
        let mut fields = std::pin::pin!(patient(multipart));
        while let Some(field) = fields.try_next().await? {
            let name = field.name().unwrap_or_default().to_owned();
            let file_name = field.content_disposition().and_then(|d| d.get_filename()).map(str::to_owned);
            match (name.as_str(), file_name) {
                ("title", None) => form.title = Some(text(field).await?),
                ("file", Some(sent)) if !sent.is_empty() => {
                    let received = self.receive_file(&sent, field).await?;
                    self.discard(form).await;
                    form.file = Some(received);
                }
                ("file", _) => {
                    drain(field).await?;
                    self.discard(form).await;
                    form.file = Some(FileField::NotAFile);
                }
                _ => drain(field).await?,
            }
        }
        Ok(())
    }

    async fn receive_file(&self, sent: &str, field: Field) -> Result<FileField, ReceiveError> {
        let name = match FileName::parse(sent) {
            Ok(name) => name,
            Err(e) => {
                drain(field).await?;
                return Ok(FileField::BadName(e));
            }
        };
        let content_type =
            field.content_type().map_or("application/octet-stream".to_owned(), |t| t.essence_str().to_owned());
        let key = self.reserve(&name).await?;
        let stored =
            self.storage.put_stream(&key, &content_type, self.max_upload, std::pin::pin!(patient(field))).await;
        match stored {
            Ok(upload) if upload.size > 0 => Ok(FileField::Stored(key, upload)),
            Ok(_) => {
                documents::forget_upload(&self.pool, key.as_str()).await?;
                Ok(FileField::Empty)
            }
            Err(error) => {
                self.remove(&key).await;
                Err(match error {
                    UploadError::TooLarge { limit } => ReceiveError::FileTooLarge { limit },
                    UploadError::Storage(e) => e.into(),
                    UploadError::Sender(e) => e,
                })
            }
        }
    }

    /// Takes the name's key below `media/`, or one with a random suffix if that is taken.
    async fn reserve(&self, name: &FileName) -> Result<ObjectKey, ReceiveError> {
        let mut candidate = name.clone();
        loop {
            let key = ObjectKey::parse(format!("media/{}", candidate.as_str()))?;
            if documents::reserve_key(&self.pool, key.as_str()).await? {
                return Ok(key);
            }
            let random = Uuid::new_v4().simple().to_string();
            candidate = name.with_suffix(&random[..7]);
        }
    }

    /// Removes what a form has stored so far.
    pub async fn discard(&self, form: &mut Form) {
        if let Some(key) = form.stored() {
            self.remove(key).await;
            form.file = None;
        }
    }

    /// Removes an object and gives up its key. If S3 or the database fails, the row in `uploads` keeps the trace.
    async fn remove(&self, key: &ObjectKey) {
        let removed = async {
            self.storage.delete(key).await?;
            documents::forget_upload(&self.pool, key.as_str()).await?;
            Ok::<_, ReceiveError>(())
        };
        if let Err(error) = removed.await {
            tracing::error!(key = key.as_str(), %error, "an object without a document could not be removed; its key stays in table uploads");
        }
    }
}

/// The same stream, ended with an error when nothing comes for too long.
fn patient<T>(stream: impl Stream<Item = Result<T, MultipartError>>) -> impl Stream<Item = Result<T, ReceiveError>> {
    let stream = Box::pin(stream);
    futures_util::stream::unfold(stream, |mut stream| async {
        match tokio::time::timeout(IDLE, stream.next()).await {
            Ok(None) => None,
            Ok(Some(item)) => Some((item.map_err(ReceiveError::from), stream)),
            Err(_) => Some((Err(ReceiveError::Idle), stream)),
        }
    })
}

async fn text(field: Field) -> Result<String, ReceiveError> {
    let mut bytes = vec![];
    let mut chunks = std::pin::pin!(patient(field));
    while let Some(chunk) = chunks.try_next().await? {
        if bytes.len() + chunk.len() > MAX_TEXT {
            return Err(ReceiveError::TextTooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn drain(field: Field) -> Result<(), ReceiveError> {
    patient(field).try_for_each(|_| async { Ok(()) }).await
}
