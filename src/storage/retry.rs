use std::time::Duration;

use s3::error::S3Error;

const ATTEMPTS: u32 = 4;
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// Repeats a request that may be repeated while the answer is one that may change: no connection, 429, 5xx.
pub(super) async fn retry<T, F>(mut request: impl FnMut() -> F) -> Result<T, S3Error>
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

fn is_transient(error: &S3Error) -> bool {
    match error {
        S3Error::HttpFailWithBody(status, _) => matches!(status, 408 | 429 | 500..),
        S3Error::Reqwest(e) => !e.is_builder(),
        S3Error::Io(_) | S3Error::HttpFail => true,
        _ => false,
    }
}
