//! Gets a document's file: from the bucket, or from the URL that a client named, once, into the bucket.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use super::context::Pipeline;
use super::error::{JobError, transient};
use crate::documents::{self, Claim};
use crate::outbound::FetchError;
use crate::render::RenderError;
use crate::storage::{ObjectKey, StorageError, UploadError};

/// A temporary file without a name: a worker that is killed leaves nothing behind.
pub(super) struct SourceFile {
    path: PathBuf,
    _file: File,
}

impl SourceFile {
    pub fn new() -> std::io::Result<Self> {
        let file = tempfile::tempfile()?;
        Ok(Self { path: format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into(), _file: file })
    }

    /// Good for this process and its children, as long as this lives.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Pipeline {
    /// Puts the file at `path`, and notes its size and digest if they are not known. `false` if the document is gone.
    pub(super) async fn fetch(
        &self,
        id: i64,
        claim: &Claim,
        path: &Path,
        stop: &CancellationToken,
    ) -> Result<bool, JobError> {
        let permanent = |what: &str| JobError::Permanent {
            code: "file_missing",
            message: format!("The uploaded file {what}: {}", claim.object_key),
        };
        let object =
            ObjectKey::parse(claim.object_key.as_str()).map_err(|_| permanent("has a key that no object can have"))?;
        if let Some(url) = &claim.source_url {
            return self.fetch_url(id, url, &object, path, stop).await;
        }
        match self.storage.fetch(&object, path, self.settings.max_file).await {
            Ok(_) => {}
            Err(StorageError::TooLarge { limit }) => {
                let message = format!("The file is larger than the limit of {limit} bytes (MAX_UPLOAD_MB).");
                return Err(JobError::Permanent { code: "file_too_large", message });
            }
            Err(StorageError::NotFound(_)) => return Err(permanent("is not in the bucket")),
            Err(e) => return Err(transient(e)),
        }
        if claim.sha256.is_none() {
            let (size, sha256) = digest(path).await?;
            if size == 0 {
                return Err(JobError::Permanent { code: "empty_file", message: RenderError::Empty.to_string() });
            }
            return documents::set_digest(&self.pool, id, size, &sha256).await.map_err(transient);
        }
        Ok(true)
    }

    async fn fetch_url(
        &self,
        id: i64,
        url: &str,
        object: &ObjectKey,
        path: &Path,
        stop: &CancellationToken,
    ) -> Result<bool, JobError> {
        let fetching = stop.run_until_cancelled(self.outbound.fetch(url, path, self.settings.max_file));
        let fetched = fetching.await.ok_or(JobError::Stopped)?.map_err(fetch_error)?;
        let mut file = tokio::fs::File::open(path).await.map_err(transient)?;
        let mut start = [0; 5];
        let is_pdf = file.read_exact(&mut start).await.is_ok() && start == *b"%PDF-";
        let content_type = if is_pdf { "application/pdf" } else { "application/octet-stream" };
        let file = tokio::fs::File::open(path).await.map_err(transient)?;
        let stored =
            self.storage.put_stream(object, content_type, u64::MAX, ReaderStream::with_capacity(file, 1 << 16));
        stored.await.map_err(|e: UploadError<std::io::Error>| match e {
            UploadError::Storage(e) => transient(e),
            e => JobError::Transient(anyhow::anyhow!("{e}")),
        })?;
        let wanted = documents::set_digest(&self.pool, id, fetched.size, &fetched.sha256).await.map_err(transient)?;
        if !wanted {
            self.storage.delete(object).await.map_err(transient)?;
        }
        Ok(wanted)
    }
}

fn fetch_error(error: FetchError) -> JobError {
    let (code, message) = (error.code(), error.to_string());
    match error {
        FetchError::Disk(e) => transient(e),
        e if e.is_permanent() => JobError::Permanent { code, message },
        _ => JobError::External { code, message },
    }
}

/// Size and SHA-256 of a local file.
async fn digest(path: &Path) -> Result<(u64, String), JobError> {
    let path = path.to_owned();
    let read = move || -> std::io::Result<_> {
        let mut hash = Sha256::new();
        let size = std::io::copy(&mut std::fs::File::open(path)?, &mut hash)?;
        Ok((size, hex::encode(hash.finalize())))
    };
    tokio::task::spawn_blocking(read).await.map_err(transient)?.map_err(transient)
}
