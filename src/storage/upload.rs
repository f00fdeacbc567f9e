//! Streams of unknown length into the bucket, hashed on the way, never wholly in memory.

use futures_util::stream::{Fuse, Stream, StreamExt};
use s3::error::S3Error;
use s3::serde_types::Part;
use sha2::{Digest, Sha256};
use tokio_util::bytes::Bytes;

use super::retry::retry;
use super::{ObjectKey, Storage, StorageError};

/// S3 takes no smaller part but the last; a file below this is one request.
const PART: usize = 5 << 20;

#[derive(Debug, thiserror::Error)]
pub enum UploadError<E> {
    #[error("the file is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("{0}")]
    Storage(#[from] StorageError),
    #[error("the sender broke off: {0}")]
    Sender(E),
}

impl<E> From<S3Error> for UploadError<E> {
    fn from(e: S3Error) -> Self {
        Self::Storage(e.into())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// Bytes.
    pub size: u64,
    /// In hexadecimal.
    pub sha256: String,
}

impl Storage {
    /// Stores a stream under `key`, up to `limit` bytes. After an error no object is left, unless S3 itself failed; an empty
    /// stream stores nothing.
    pub async fn put_stream<S, E>(
        &self,
        key: &ObjectKey,
        content_type: &str,
        limit: u64,
        stream: S,
    ) -> Result<Uploaded, UploadError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let mut source = Source { stream: stream.fuse(), hash: Sha256::new(), size: 0, limit };
        let first = source.part().await?;
        if first.len() < PART {
            if !first.is_empty() {
                let _turn = self.sending.acquire().await;
                self.put(key, &first, content_type).await?;
            }
        } else {
            self.put_parts(key, content_type, first, &mut source).await?;
        }
        Ok(Uploaded { size: source.size, sha256: hex::encode(source.hash.finalize()) })
    }

    async fn put_parts<S, E>(
        &self,
        key: &ObjectKey,
        content_type: &str,
        first: Vec<u8>,
        source: &mut Source<S>,
    ) -> Result<(), UploadError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let key = key.as_str();
        // The headers belong to the object, so only the request that begins it carries them.
        let beginning = self.bucket.with_extra_headers(self.headers.clone())?;
        let upload = beginning.initiate_multipart_upload(key, content_type).await?.upload_id;
        let sent = async {
            let parts = send_parts(self, key, content_type, &upload, first, source).await?;
            retry(|| self.bucket.complete_multipart_upload(key, &upload, parts.clone())).await?;
            Ok(())
        };
        match sent.await {
            Ok(()) => Ok(()),
            Err(error) => {
                if let Err(abort) = retry(|| self.bucket.abort_upload(key, &upload)).await {
                    tracing::warn!(key, error = %abort, "the parts of a broken upload could not be removed");
                }
                Err(error)
            }
        }
    }
}

async fn send_parts<S, E>(
    storage: &Storage,
    key: &str,
    content_type: &str,
    upload: &str,
    first: Vec<u8>,
    source: &mut Source<S>,
) -> Result<Vec<Part>, UploadError<E>>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let mut parts = vec![];
    let mut chunk = first;
    while !chunk.is_empty() {
        let number = parts.len() as u32 + 1;
        let turn = storage.sending.acquire().await;
        let send = || storage.bucket.put_multipart_chunk(chunk.clone(), key, number, upload, content_type);
        parts.push(retry(send).await?);
        drop((turn, chunk));
        chunk = source.part().await?;
    }
    Ok(parts)
}

struct Source<S> {
    stream: Fuse<S>,
    hash: Sha256,
    size: u64,
    limit: u64,
}

impl<S: Stream> Source<S> {
    /// The next `PART` bytes or a little more; fewer at the end.
    async fn part<E>(&mut self) -> Result<Vec<u8>, UploadError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let mut part = vec![];
        while part.len() < PART {
            // Doubling would end at twice the size; small files shall not pay for large ones.
            if part.len() > PART / 16 && part.capacity() < PART {
                part.reserve_exact(PART + (64 << 10) - part.len());
            }
            let Some(chunk) = self.stream.next().await else { break };
            let chunk = chunk.map_err(UploadError::Sender)?;
            self.size += chunk.len() as u64;
            if self.size > self.limit {
                return Err(UploadError::TooLarge { limit: self.limit });
            }
            self.hash.update(&chunk);
            part.extend_from_slice(&chunk);
        }
        Ok(part)
    }
}
