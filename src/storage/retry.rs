use std::time::Duration;

use s3::error::S3Error;

use super::StorageError;

const ATTEMPTS: u32 = 4;
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// For a request with all its repetitions: clients wait for it, and routers on their way give up after 30 s.
pub(super) const LONGEST: Duration = Duration::from_secs(25);

/// Repeats a request that may be repeated while the answer is one that may change.
pub(super) async fn retry<T, F>(request: impl FnMut() -> F) -> Result<T, StorageError>
where
    F: Future<Output = Result<T, S3Error>>,
{
    let result = tokio::time::timeout(LONGEST, repeat(request)).await;
    result.map_err(|_| StorageError::NoAnswer)?.map_err(StorageError::S3)
}

async fn repeat<T, F>(mut request: impl FnMut() -> F) -> Result<T, S3Error>
where
    F: Future<Output = Result<T, S3Error>>,
{
    let mut attempt = 0;
    loop {
        match request().await {
            Err(error) if attempt + 1 < ATTEMPTS && is_transient(&error) => {
                attempt += 1;
                // Doubled each time, with up to half as much again so that workers do not come back together.
                let delay = FIRST_DELAY * 2u32.pow(attempt);
                let jitter = delay.mul_f64(f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 512.0);
                tracing::debug!(attempt, %error, "S3 request failed, trying again");
                tokio::time::sleep(delay + jitter).await;
            }
            result => return result,
        }
    }
}

/// An answer that may change: none, 408, 429, 5xx.
pub(super) fn is_transient(error: &S3Error) -> bool {
    match error {
        S3Error::HttpFailWithBody(..) => !is_refusal(error),
        S3Error::Reqwest(e) => !e.is_builder(),
        S3Error::Io(_) | S3Error::HttpFail => true,
        _ => false,
    }
}

/// An answer that will be the same next time.
pub(super) fn is_refusal(error: &S3Error) -> bool {
    matches!(error, S3Error::HttpFailWithBody(status, _) if *status < 500 && !matches!(status, 408 | 429))
}
