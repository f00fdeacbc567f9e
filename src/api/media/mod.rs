//! Objects through this server's own port: `/media/…` is what clients uploaded, `/results/…` what workers made of it.

mod kind;
mod range;
mod send;

use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::percent_decode_str;

use super::State;
use super::v1::problem::{self, Code, Problem, Result};
use super::v1::{admit_legacy, authorize, get, resource};
use crate::documents;
use crate::storage::{ObjectKey, page_of, percent_encode};
use send::send;

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

pub fn configure(config: &mut ServiceConfig) {
    let scope = |path: &str| web::scope(path).default_service(web::to(problem::not_found));
    config
        .service(scope("/results").service(resource("/{key:.+}", [get(result)])).wrap(from_fn(authorize)))
        .service(scope("/media").service(resource("/{key:.+}", [get(upload)])).wrap(from_fn(admit_legacy)));
}

async fn upload(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let key = object_key(&request).ok_or_else(|| nothing(&request))?;
    match documents::object_is_taken(&state.pool, key.as_str()).await? {
        true => send(&state, &request, &key).await,
        false => Err(nothing(&request)),
    }
}

async fn result(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let key = object_key(&request).ok_or_else(|| nothing(&request))?;
    let (document, page) = page_of(key.as_str()).ok_or_else(|| nothing(&request))?;
    match documents::object_is_shown(&state.pool, document, page, key.as_str()).await? {
        true => send(&state, &request, &key).await,
        false => Err(nothing(&request)),
    }
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

fn nothing(request: &HttpRequest) -> Problem {
    Problem::new(Code::NotFound, format!("There is nothing at {}.", request.path()))
}

/// The path as a key. actix leaves some characters encoded, so it is decoded here, each part by itself: none may hold a slash.
fn object_key(request: &HttpRequest) -> Option<ObjectKey> {
    let decode = |part| percent_decode_str(part).decode_utf8().ok().filter(|part| !part.contains('/'));
    let parts: Option<Vec<_>> = request.uri().path().strip_prefix('/')?.split('/').map(decode).collect();
    ObjectKey::parse(parts?.join("/")).ok()
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

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_path_is_a_key_or_nothing() {
        let key = |path: &str| object_key(&TestRequest::with_uri(path).to_http_request());
        for (path, wanted) in [
            ("/media/a%20b%25.pdf?x=1", "media/a b%.pdf"),
            ("/media/%C3%9C.pdf", "media/Ü.pdf"),
            ("/results/1/m/page-1/page.png", "results/1/m/page-1/page.png"),
            ("/media/a%252Fb", "media/a%2Fb"),
        ] {
            assert_eq!(key(path).as_ref().map(ObjectKey::as_str), Some(wanted), "{path}");
        }
        for path in
            ["/media/a%2Fb", "/media/../x", "/media/%2e%2E/x", "/media//x", "/media/a%00", "/media/%ff", "/media/"]
        {
            assert_eq!(key(path), None, "{path}");
        }
    }
}
