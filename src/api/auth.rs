//! Who may do what: bearer tokens, and the sessions of people who are logged in.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;

use super::backpressure::{Gate, ReadPause};
use super::client::Client;
use super::session::{CSRF_HEADER, SignedIn};
use super::{ANSWER, State};
use crate::accounts::Role;
use crate::database::in_time;
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
    /// A session's cookie without what says that a page of ours sends the request.
    CrossSite,
    /// Too many requests; how long to wait.
    TooMany(Duration),
}

impl Denied {
    /// Whole seconds after which another request has a chance.
    pub fn retry_after(wait: Duration) -> u64 {
        wait.as_secs() + 1
    }
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let (scheme, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a request may go on, and who sent it. Its body is not read meanwhile.
pub async fn admit(state: &State, request: &HttpRequest, policy: Policy) -> sqlx::Result<Result<Client, Denied>> {
    let _hold = hold(request);
    let stranger = Client::by_address(request, state.settings.limits.trusted_proxies);
    let known = match policy {
        // Whoever is logged in is named in the audit log even where nobody needs to be.
        Policy::Off => Ok(by_session(request).and_then(Result::ok).unwrap_or(stranger)),
        Policy::Auto | Policy::Required => match by_session(request) {
            Some(known) => known,
            None => by_token(state, request, policy, stranger).await?,
        },
    };
    // Whoever guesses tokens is held to his address's limit.
    let limited = state.rate.check(*known.as_ref().unwrap_or(&stranger));
    Ok(limited.map_err(Denied::TooMany).and(known))
}

/// Keeps the request's body from being read; nothing outside this server.
pub fn hold(request: &HttpRequest) -> Option<ReadPause> {
    request.conn_data::<Gate>().map(Gate::hold)
}

/// By a session, if there is one and no token.
fn by_session(request: &HttpRequest) -> Option<Result<Client, Denied>> {
    if request.headers().contains_key(AUTHORIZATION) {
        return None;
    }
    let user = SignedIn::of(request)?;
    let token = request.headers().get(CSRF_HEADER).and_then(|value| value.to_str().ok());
    Some(match needed_scope(request) {
        Scope::Write if user.role < Role::Operator => Err(Denied::ReadOnly),
        Scope::Write if !user.is_meant(request, token) => Err(Denied::CrossSite),
        _ => Ok(Client::User(user.id)),
    })
}

fn needed_scope(request: &HttpRequest) -> Scope {
    match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => Scope::Read,
        _ => Scope::Write,
    }
}

async fn by_token(
    state: &State,
    request: &HttpRequest,
    policy: Policy,
    stranger: Client,
) -> sqlx::Result<Result<Client, Denied>> {
    let needed = needed_scope(request);
    let token = bearer(request);
    let access = in_time(ANSWER, documents::access(&state.pool, token)).await?;
    Ok(match access.token {
        Some((id, scope)) if scope >= needed => Ok(Client::Token(id)),
        Some(_) => Err(Denied::ReadOnly),
        None if policy == Policy::Auto && !access.tokens_exist && token.is_none() => Ok(stranger),
        None => Err(Denied::Unknown),
    })
}
