//! What a request's body is, and the forms that hold no file.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use actix_web::web::Payload;

use super::error::Refused;
use super::python_json;
use super::serializer::{from_json, from_urlencoded};
use crate::api::form::Form;
use crate::api::receive::read_body;

#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    Empty,
    Json,
    Urlencoded,
    Multipart,
    /// The Content-Type as it was sent.
    Unsupported(String),
}

pub fn kind(request: &HttpRequest) -> Kind {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    // Chunked bodies are a superset: Django sees none in them.
    if length.unwrap_or(0) == 0 && !request.headers().contains_key(TRANSFER_ENCODING) {
        return Kind::Empty;
    }
    let bytes = request.headers().get(CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
    let content_type: String = bytes.iter().map(|&b| char::from(b)).collect();
    match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/json" => Kind::Json,
        "application/x-www-form-urlencoded" => Kind::Urlencoded,
        "multipart/form-data" => Kind::Multipart,
        _ => Kind::Unsupported(content_type),
    }
}

/// Reads a body that is no multipart form.
pub async fn read(request: &HttpRequest, payload: Payload) -> Result<Form, Refused> {
    match kind(request) {
        Kind::Empty | Kind::Multipart => Ok(Form::default()),
        Kind::Urlencoded => Ok(from_urlencoded(&read_body(payload).await?)),
        Kind::Json => {
            let parsed = python_json::parse(&read_body(payload).await?);
            let value =
                parsed.map_err(|e| Refused::Detail(StatusCode::BAD_REQUEST, format!("JSON parse error - {e}")))?;
            from_json(value).map_err(Refused::Fields)
        }
        Kind::Unsupported(media_type) => {
            let text = format!("Unsupported media type \"{media_type}\" in request.");
            Err(Refused::Detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
        }
    }
}
