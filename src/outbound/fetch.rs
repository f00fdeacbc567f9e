use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::{IDLE, Outbound, UrlError, reason, refused};

/// Nothing takes longer.
const LONGEST: Duration = Duration::from_secs(600);
/// After a start of `IDLE`, a file must have come at this rate, in bytes a second: a worker waits for it.
const MIN_RATE: u64 = 16 << 10;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("The URL is not asked: {0}.")]
    Refused(UrlError),
    #[error("The URL's server answers {0}.")]
    Status(u16),
    #[error("The URL's file is larger than the limit of {limit} bytes (MAX_UPLOAD_MB).")]
    TooLarge { limit: u64 },
    #[error("The URL gives an empty file.")]
    Empty,
    #[error("The URL's server cannot be reached or broke off: {0}")]
    Request(String),
    #[error("The URL's server sends fewer than {MIN_RATE} bytes a second, or took longer than {} s.", LONGEST.as_secs())]
    TooSlow,
    #[error("disk: {0}")]
    Disk(#[from] std::io::Error),
}

impl FetchError {
    /// Another attempt would end the same way.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Refused(_) | Self::TooLarge { .. } | Self::Empty | Self::TooSlow => true,
            Self::Status(status) => (400..500).contains(status) && !matches!(status, 408 | 425 | 429),
            Self::Request(_) | Self::Disk(_) => false,
        }
    }

    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "url_refused",
            Self::TooLarge { .. } => "file_too_large",
            Self::Empty => "empty_file",
            _ => "fetch_failed",
        }
    }
}

/// A file that was fetched.
#[derive(Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes.
    pub size: u64,
    /// In hexadecimal.
    pub sha256: String,
}

impl Outbound {
    /// Copies what is at a URL into a file, up to `limit` bytes.
    pub async fn fetch(&self, url: &str, path: &Path, limit: u64) -> Result<Fetched, FetchError> {
        tokio::time::timeout(LONGEST, self.fetch_patiently(url, path, limit)).await.unwrap_or(Err(FetchError::TooSlow))
    }

    async fn fetch_patiently(&self, url: &str, path: &Path, limit: u64) -> Result<Fetched, FetchError> {
        let url = self.parse(url).map_err(FetchError::Refused)?;
        let failed =
            |e: reqwest::Error| refused(&e).map_or_else(|| FetchError::Request(reason(e)), FetchError::Refused);
        let response = self.fetching.get(url).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(FetchError::TooLarge { limit });
        }
        let started = Instant::now();
        let mut file = tokio::fs::File::create(path).await?;
        let (mut size, mut hash) = (0, Sha256::new());
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(failed)?;
            size += chunk.len() as u64;
            if size > limit {
                return Err(FetchError::TooLarge { limit });
            }
            if size < started.elapsed().saturating_sub(IDLE).as_secs() * MIN_RATE {
                return Err(FetchError::TooSlow);
            }
            hash.update(&chunk);
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        if size == 0 { Err(FetchError::Empty) } else { Ok(Fetched { size, sha256: hex::encode(hash.finalize()) }) }
    }
}
