//! Style sheets, scripts and pictures, which are in the binary.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};

use super::error::{Error, Result};

struct Asset {
    name: &'static str,
    content: &'static [u8],
    content_type: &'static str,
}

macro_rules! asset {
    ($name:literal, $content_type:literal) => {
        Asset { name: $name, content: include_bytes!(concat!("static/", $name)), content_type: $content_type }
    };
}

static ASSETS: &[Asset] = &[
    asset!("app.css", "text/css; charset=utf-8"),
    asset!("app.js", "text/javascript; charset=utf-8"),
    asset!("compare.js", "text/javascript; charset=utf-8"),
    asset!("documents.css", "text/css; charset=utf-8"),
    asset!("documents.js", "text/javascript; charset=utf-8"),
    asset!("favicon.svg", "image/svg+xml"),
    asset!("follow.js", "text/javascript; charset=utf-8"),
    asset!("http.js", "text/javascript; charset=utf-8"),
    asset!("masks.js", "text/javascript; charset=utf-8"),
    asset!("regions.js", "text/javascript; charset=utf-8"),
    asset!("strip.js", "text/javascript; charset=utf-8"),
    asset!("upload.js", "text/javascript; charset=utf-8"),
    asset!("viewer.js", "text/javascript; charset=utf-8"),
    asset!("zoom.js", "text/javascript; charset=utf-8"),
    asset!("vendor/htmx.min.js", "text/javascript; charset=utf-8"),
];

/// The assets' versions, in their order.
static VERSIONS: LazyLock<Vec<String>> =
    LazyLock::new(|| ASSETS.iter().map(|asset| hex::encode(&Sha256::digest(asset.content)[..6])).collect());

fn find(name: &str) -> Option<(&'static Asset, &'static str)> {
    let at = ASSETS.iter().position(|asset| asset.name == name)?;
    Some((&ASSETS[at], &VERSIONS[at]))
}

/// A version is kept for a year, since another has another address.
pub async fn send(request: HttpRequest, name: web::Path<String>) -> Result {
    let (asset, version) = find(&name).ok_or(Error::NotFound)?;
    let etag = format!("\"{version}\"");
    let known = request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    let asked = request.query_string().strip_prefix("v=") == Some(version);
    let caching = if asked { "public, max-age=31536000, immutable" } else { "no-cache" };
    response.insert_header((CACHE_CONTROL, caching)).insert_header((ETAG, etag));
    response.insert_header((CONTENT_TYPE, asset.content_type)).insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    Ok(if known { response.finish() } else { response.body(asset.content) })
}

pub async fn favicon() -> HttpResponse {
    HttpResponse::MovedPermanently().insert_header(("Location", "/static/favicon.svg")).finish()
}

/// Nothing here is for search engines.
pub async fn robots() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("User-agent: *\nDisallow: /\n")
}

/// In templates, `"app.css"|asset` is the address of that file.
pub mod filters {
    use std::fmt::Display;

    #[askama::filter_fn]
    pub fn asset(name: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        let name = name.to_string();
        let missing = || askama::Error::custom(format!("no asset {name}"));
        let (_, version) = super::find(&name).ok_or_else(missing)?;
        Ok(format!("/static/{name}?v={version}"))
    }
}
