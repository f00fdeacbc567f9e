use std::ops::Range;

use futures_util::{Stream, StreamExt, stream};
use s3::error::S3Error;
use tokio::time::timeout;
use tokio_util::bytes::Bytes;

use super::retry::retry;
use super::{IDLE, ObjectKey, Storage, StorageError};

/// Seconds for which a request is signed.
const SIGNED_SECONDS: u32 = 300;

/// What is known of an object without reading it.
#[derive(Debug)]
pub struct ObjectHead {
    /// Bytes.
    pub size: u64,
    /// The object's version, as it stands in HTTP's header: in quotes.
    pub etag: Option<String>,
}

impl Storage {
    pub async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, StorageError> {
        match retry(|| self.quick.head_object(key.as_str())).await {
            Ok((head, _)) => Ok(ObjectHead { size: head.content_length.unwrap_or(0).max(0) as u64, etag: head.e_tag }),
            // The answer to HEAD has no body that says what is missing.
            Err(StorageError::S3(S3Error::HttpFailWithBody(404, _))) => {
                Err(StorageError::NotFound(key.as_str().to_owned()))
            }
            Err(e) => Err(e),
        }
    }

    /// Bytes of the object that `head` tells of, as they come; `range` is not empty. Dropping the stream ends the request.
    pub async fn read(
        &self,
        key: &ObjectKey,
        head: &ObjectHead,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, StorageError>> + use<>, StorageError> {
        // rust-s3 streams whole objects only.
        let request = || async {
            let url = self.patient.presign_get(key.as_str(), SIGNED_SECONDS, None).await?;
            let mut request = self.patient.http_client().get(url);
            if range != (0..head.size) {
                request = request.header("Range", format!("bytes={}-{}", range.start, range.end - 1));
            }
            if let Some(etag) = &head.etag {
                request = request.header("If-Match", etag);
            }
            let response = request.send().await?;
            match response.status() {
                status if status.is_success() => Ok(response),
                status => Err(S3Error::HttpFailWithBody(status.as_u16(), response.text().await?)),
            }
        };
        let response = match retry(request).await {
            Ok(response) if response.content_length() == Some(range.end - range.start) => response,
            Ok(_) | Err(StorageError::S3(S3Error::HttpFailWithBody(404 | 412 | 416, _))) => {
                return Err(StorageError::Changed(key.as_str().to_owned()));
            }
            Err(error) => return Err(error),
        };
        Ok(stream::try_unfold(Box::pin(response.bytes_stream()), async |mut body| {
            let chunk = timeout(IDLE, body.next()).await.map_err(|_| StorageError::Idle)?;
            let chunk = chunk.transpose().map_err(S3Error::from)?;
            Ok(chunk.map(|chunk| (chunk, body)))
        }))
    }
}
