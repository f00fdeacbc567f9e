use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::{Outbound, SigningKey, reason, refused};

/// A receiver that takes longer to answer should queue the message and answer.
const LONGEST: Duration = Duration::from_secs(15);

/// Why a webhook was not delivered.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct WebhookError {
    /// Of the receiver's answer, if there was one.
    pub status: Option<u16>,
    pub reason: String,
    /// Another attempt would end the same way.
    pub permanent: bool,
}

impl Outbound {
    /// Sends a signed message and returns the receiver's status, which is one of success. `timestamp` in seconds since 1970.
    pub async fn send_webhook(
        &self,
        url: &str,
        id: &str,
        timestamp: i64,
        body: &str,
        key: &SigningKey,
    ) -> Result<u16, WebhookError> {
        let refuse = |reason: String| WebhookError { status: None, reason, permanent: true };
        let url = self.parse(url).map_err(|e| refuse(format!("the URL is not asked: {e}")))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let signed = [("webhook-id", id.to_owned()), ("webhook-timestamp", timestamp.to_string())];
        for (name, value) in signed.into_iter().chain([("webhook-signature", key.sign(id, timestamp, body))]) {
            let value = HeaderValue::from_str(&value).map_err(|e| refuse(e.to_string()))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        let request = self.sending.post(url).headers(headers).body(body.to_owned()).timeout(LONGEST);
        let response = request.send().await.map_err(|e| {
            let refused = refused(&e);
            let permanent = refused.is_some();
            let reason = refused.map_or_else(|| reason(e), |refused| format!("the URL is not asked: {refused}"));
            WebhookError { status: None, reason, permanent }
        })?;
        match response.status() {
            status if status.is_success() => Ok(status.as_u16()),
            status => Err(WebhookError {
                status: Some(status.as_u16()),
                reason: format!("the receiver answers {status}"),
                // It wants no more.
                permanent: status == StatusCode::GONE,
            }),
        }
    }
}
