//! The bucket's objects for clients: where they read them, and how this server sends them.

mod kind;
mod range;
mod send;

use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse};

use super::State;
use super::v1::problem::Result;
use crate::storage::{ObjectKey, percent_encode};
pub use send::send;

const PRESIGNED_SECONDS: u32 = 900;

/// `MEDIA`: where clients read files and pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Media {
    /// From this server, at /media/… and /results/…: clients need no way to the bucket
    Proxy,
    /// From the bucket: pictures at signed URLs that are good for 15 minutes, `file` at the original's plain URL
    Presigned,
    /// From the bucket at plain URLs, which it or AWS_S3_CUSTOM_DOMAIN lets everybody read
    Public,
}

/// The answer of /api/v1 to who asks for a file or a picture.
pub async fn give(state: &State, request: &HttpRequest, key: &str) -> Result<HttpResponse> {
    let url = match state.settings.media {
        Media::Proxy => return send(state, request, &ObjectKey::parse(key)?).await,
        Media::Presigned => state.storage.presign(key, PRESIGNED_SECONDS).await?,
        Media::Public => state.storage.url(key),
    };
    Ok(HttpResponse::Found().insert_header((LOCATION, url)).insert_header((CACHE_CONTROL, "no-store")).finish())
}

/// How the URLs of files begin in the answer to a request; `None` for those of the bucket.
#[derive(Debug, Clone)]
pub struct UrlBase(Option<String>);

impl State {
    /// The request's own host, as Django takes it; an answer to one without a sensible host has URLs without one.
    pub fn url_base(&self, request: &HttpRequest) -> UrlBase {
        if self.settings.media != Media::Proxy || self.storage.is_public() {
            return UrlBase(None);
        }
        let sensible = |host: &&str| host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c));
        let host = request.headers().get("Host").and_then(|host| host.to_str().ok());
        let host = host.or_else(|| Some(request.uri().authority()?.as_str()));
        let host = host.filter(|host| !host.is_empty()).filter(sensible);
        UrlBase(Some(host.map(|host| format!("http://{host}")).unwrap_or_default()))
    }

    /// Where clients find the file of a document.
    pub fn file_url(&self, base: &UrlBase, key: &str) -> String {
        match &base.0 {
            // An operator may have registered an object of any name, which only the bucket serves.
            Some(base) if key.starts_with("media/") => format!("{base}/{}", percent_encode(key)),
            _ => self.storage.url(key),
        }
    }
}
