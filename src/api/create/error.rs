use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpRequest, HttpResponse};

use super::drf;
use super::negotiate::Renderer;
use super::serializer::FieldErrors;
use crate::api::receive::IntakeError;

/// Why a request makes no document.
pub enum Refused {
    Fields(FieldErrors),
    Detail(StatusCode, String),
    Failed(IntakeError),
}

impl<E: Into<IntakeError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Refused {
    pub fn answer(&self, request: &HttpRequest, renderer: Renderer) -> HttpResponse {
        let detail = |status, text: &str| drf::detail(request, renderer, status, text);
        match self {
            Self::Fields(errors) => drf::answer(request, renderer, StatusCode::BAD_REQUEST, errors),
            Self::Detail(status, text) => detail(*status, text),
            Self::Failed(error) => {
                let (status, text) = describe(error);
                let mut response = detail(status, &text);
                if let Some(seconds) = error.retry_after() {
                    response.headers_mut().insert(RETRY_AFTER, seconds.into());
                }
                response
            }
        }
    }
}

/// Details of our own faults go to the log only.
fn describe(error: &IntakeError) -> (StatusCode, String) {
    let ours = |what: &str| {
        tracing::error!(%error, "request failed");
        let text = format!("The {what} does not answer. Nothing was kept; try again later.");
        (StatusCode::SERVICE_UNAVAILABLE, text)
    };
    match error {
        IntakeError::Multipart(_) | IntakeError::BrokeOff(_) => (StatusCode::BAD_REQUEST, error.to_string()),
        IntakeError::Busy | IntakeError::QueueFull { .. } | IntakeError::Expired => {
            (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
        }
        IntakeError::ClientBusy => (StatusCode::TOO_MANY_REQUESTS, error.to_string()),
        IntakeError::Idle | IntakeError::TooSlow => (StatusCode::REQUEST_TIMEOUT, error.to_string()),
        IntakeError::FieldsTooLarge | IntakeError::FileTooLarge { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
        }
        IntakeError::Storage(_) => ours("object storage"),
        IntakeError::Database(_) => ours("database"),
    }
}
