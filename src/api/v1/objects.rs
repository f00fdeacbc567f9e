//! `/media/…` is what clients uploaded, `/results/…` what workers made of it: the bucket's objects at their keys.

use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::percent_decode_str;

use super::problem::{Code, Problem, Result};
use crate::api::State;
use crate::api::media::send;
use crate::documents;
use crate::storage::{ObjectKey, page_of};

pub async fn upload(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let key = object_key(&request).ok_or_else(|| nothing(&request))?;
    match documents::object_is_taken(&state.pool, key.as_str()).await? {
        true => send(&state, &request, &key).await,
        false => Err(nothing(&request)),
    }
}

pub async fn result(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let key = object_key(&request).ok_or_else(|| nothing(&request))?;
    let (document, page) = page_of(key.as_str()).ok_or_else(|| nothing(&request))?;
    match documents::object_is_shown(&state.pool, document, page, key.as_str()).await? {
        true => send(&state, &request, &key).await,
        false => Err(nothing(&request)),
    }
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
