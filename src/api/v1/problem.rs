//! Errors as problem documents (RFC 9457) with a stable `code`; docs/API.md lists the codes.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde::Serialize;

use crate::api::receive::ReceiveError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Unauthorized,
    ReadOnlyToken,
    NotFound,
    MethodNotAllowed,
    InvalidParameter,
    InvalidTitle,
    InvalidForm,
    MissingFile,
    FileTooLarge,
    FieldsTooLarge,
    UnsupportedMediaType,
    IdempotencyMismatch,
    StatusConflict,
    ClientTooSlow,
    StorageUnavailable,
    DatabaseUnavailable,
    Internal,
}

impl Code {
    fn describe(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Token needed"),
            Self::ReadOnlyToken => (StatusCode::FORBIDDEN, "read_only_token", "Token may only read"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
            Self::InvalidParameter => (StatusCode::BAD_REQUEST, "invalid_parameter", "Invalid parameter"),
            Self::InvalidTitle => (StatusCode::BAD_REQUEST, "invalid_title", "Invalid title"),
            Self::InvalidForm => (StatusCode::BAD_REQUEST, "invalid_form", "Invalid form"),
            Self::MissingFile => (StatusCode::BAD_REQUEST, "missing_file", "Missing file"),
            Self::FileTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "file_too_large", "File too large"),
            Self::FieldsTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "fields_too_large", "Fields too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type")
            }
            Self::IdempotencyMismatch => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", "Idempotency key used for another request")
            }
            Self::StatusConflict => (StatusCode::CONFLICT, "status_conflict", "Not possible in this status"),
            Self::ClientTooSlow => (StatusCode::REQUEST_TIMEOUT, "client_too_slow", "Client too slow"),
            Self::StorageUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", "Object storage unavailable")
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::DatabaseUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", "Database unavailable")
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    code: Code,
    detail: String,
}

pub type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub fn parameter(name: &str, why: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidParameter, format!("{name}: {why}"))
    }

    pub fn no_document(id: i64) -> Self {
        Self::new(Code::NotFound, format!("There is no document {id}."))
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.describe().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, code, title) = self.code.describe();
        let r#type = format!("urn:docreader:problem:{code}");
        let body = Body { r#type, title, status: status.as_u16(), code, detail: &self.detail };
        let mut response = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header(("Retry-After", "5"));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header(("WWW-Authenticate", "Bearer"));
        }
        response.content_type("application/problem+json").body(serde_json::to_string(&body).unwrap_or_default())
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(Code::DatabaseUnavailable, "The database does not answer. Try again later.")
    }
}

impl From<crate::storage::StorageError> for Problem {
    fn from(error: crate::storage::StorageError) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(Code::StorageUnavailable, "The object storage does not answer. Try again later.")
    }
}

impl From<ReceiveError> for Problem {
    fn from(error: ReceiveError) -> Self {
        let code = match error {
            ReceiveError::Storage(error) => return error.into(),
            ReceiveError::Database(error) => return error.into(),
            ReceiveError::Multipart(_) | ReceiveError::BrokeOff(_) => Code::InvalidForm,
            ReceiveError::Idle | ReceiveError::TooSlow => Code::ClientTooSlow,
            ReceiveError::FieldsTooLarge => Code::FieldsTooLarge,
            ReceiveError::FileTooLarge { .. } => Code::FileTooLarge,
        };
        Self::new(code, error.to_string())
    }
}

pub async fn not_found(request: HttpRequest) -> Result<HttpResponse> {
    Err(Problem::new(Code::NotFound, format!("There is nothing at {}.", request.path())))
}

pub async fn method_not_allowed(request: HttpRequest) -> Result<HttpResponse> {
    Err(Problem::new(Code::MethodNotAllowed, format!("{} is not possible at {}.", request.method(), request.path())))
}
