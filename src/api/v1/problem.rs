//! Errors as problem documents (RFC 9457) with a stable `code`; docs/API.md lists the codes.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::receive::IntakeError;
use crate::database::is_shortage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Unauthorized,
    ReadOnlyToken,
    CsrfFailed,
    NotFound,
    MethodNotAllowed,
    InvalidParameter,
    InvalidTitle,
    InvalidForm,
    MissingFile,
    FileTooLarge,
    FieldsTooLarge,
    UnsupportedMediaType,
    RangeNotSatisfiable,
    IdempotencyMismatch,
    StatusConflict,
    ClientTooSlow,
    RateLimited,
    TooManyUploads,
    Busy,
    QueueFull,
    InvalidUrl,
    CallbacksDisabled,
    UnknownModel,
    UnknownUpload,
    StorageUnavailable,
    DatabaseUnavailable,
    Internal,
}

impl Code {
    fn describe(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Token needed"),
            Self::ReadOnlyToken => (StatusCode::FORBIDDEN, "read_only_token", "Token may only read"),
            Self::CsrfFailed => (StatusCode::FORBIDDEN, "csrf_failed", "No page of this server sends this"),
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
            Self::RangeNotSatisfiable => {
                (StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", "Range not satisfiable")
            }
            Self::IdempotencyMismatch => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", "Idempotency key used for another request")
            }
            Self::StatusConflict => (StatusCode::CONFLICT, "status_conflict", "Not possible in this status"),
            Self::ClientTooSlow => (StatusCode::REQUEST_TIMEOUT, "client_too_slow", "Client too slow"),
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests"),
            Self::TooManyUploads => (StatusCode::TOO_MANY_REQUESTS, "too_many_uploads", "Too many uploads at once"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many uploads wait"),
            Self::QueueFull => (StatusCode::SERVICE_UNAVAILABLE, "queue_full", "Too many documents wait"),
            Self::InvalidUrl => (StatusCode::BAD_REQUEST, "invalid_url", "Invalid URL"),
            Self::CallbacksDisabled => (StatusCode::CONFLICT, "callbacks_disabled", "No webhooks here"),
            Self::UnknownModel => (StatusCode::CONFLICT, "unknown_model", "Unknown model"),
            Self::UnknownUpload => (StatusCode::NOT_FOUND, "unknown_upload", "Unknown upload"),
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
    /// Seconds.
    retry_after: Option<u32>,
}

pub type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }

    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The same for all problems of a code.
    pub fn title(&self) -> &'static str {
        self.code.describe().2
    }

    /// This one, in words.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub fn parameter(name: &str, why: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidParameter, format!("{name}: {why}"))
    }

    /// The database's, or the object storage's, within the time that a request has.
    pub fn no_answer() -> Self {
        Self::new(Code::DatabaseUnavailable, "The database does not answer in time. Try again later.").retry_after(5)
    }

    pub fn no_document(id: i64) -> Self {
        Self::new(Code::NotFound, format!("There is no document {id}."))
    }
}

/// RFC 9457
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Body<'a> {
    r#type: String,
    /// The same for all problems of a code.
    title: &'a str,
    status: u16,
    /// For programs; docs/API.md lists them.
    code: &'a str,
    /// This one, in words.
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
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds));
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
        let detail = match is_shortage(&error) {
            true => "The database has no connection left. Try again later.",
            false => "The database does not answer. Try again later.",
        };
        Self::new(Code::DatabaseUnavailable, detail).retry_after(5)
    }
}

impl From<crate::storage::StorageError> for Problem {
    fn from(error: crate::storage::StorageError) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(Code::StorageUnavailable, "The object storage does not answer. Try again later.").retry_after(5)
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        let code = match error {
            IntakeError::Storage(error) => return error.into(),
            IntakeError::Database(error) => return error.into(),
            IntakeError::Multipart(_) | IntakeError::BrokeOff(_) => Code::InvalidForm,
            IntakeError::Idle | IntakeError::TooSlow => Code::ClientTooSlow,
            IntakeError::FieldsTooLarge => Code::FieldsTooLarge,
            IntakeError::FileTooLarge { .. } => Code::FileTooLarge,
            IntakeError::Busy => Code::Busy,
            IntakeError::ClientBusy => Code::TooManyUploads,
            IntakeError::QueueFull { .. } => Code::QueueFull,
            IntakeError::Expired => Code::UnknownUpload,
        };
        Self { retry_after: error.retry_after(), ..Self::new(code, error.to_string()) }
    }
}

pub async fn not_found(request: HttpRequest) -> Result<HttpResponse> {
    Err(Problem::new(Code::NotFound, format!("There is nothing at {}.", request.path())))
}

/// `allow` lists the methods that there are.
pub fn method_not_allowed(request: &HttpRequest, allow: &str) -> HttpResponse {
    let detail = format!("{} is not possible at {}.", request.method(), request.path());
    let mut response = Problem::new(Code::MethodNotAllowed, detail).error_response();
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}
