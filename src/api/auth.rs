//! Bearer tokens.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;

use super::State;
use crate::documents::{self, Scope};

/// `API_AUTH` and `LEGACY_API_AUTH`: when a token is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Policy {
    Off,
    /// As soon as there is one.
    Auto,
    Required,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    /// No token, or a bad one.
    Unknown,
    /// A token that may only read.
    ReadOnly,
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let (scheme, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a request may go on.
pub async fn check(state: &State, request: &HttpRequest, policy: Policy) -> sqlx::Result<Result<(), Denied>> {
    if policy == Policy::Off {
        return Ok(Ok(()));
    }
    let needed = match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => Scope::Read,
        _ => Scope::Write,
    };
    let token = bearer(request);
    let access = documents::access(&state.pool, token).await?;
    Ok(match access.scope {
        Some(scope) if scope >= needed => Ok(()),
        Some(_) => Err(Denied::ReadOnly),
        None if policy == Policy::Auto && !access.tokens_exist && token.is_none() => Ok(()),
        None => Err(Denied::Unknown),
    })
}
