//! Sessions of people who are logged in: actix-session over table `sessions`, and what keeps other sites from using them.

use std::collections::HashMap;

use actix_session::config::{PersistentSession, TtlExtensionPolicy};
use actix_session::storage::{LoadError, SaveError, SessionKey as CookieKey, SessionStore, UpdateError};
use actix_session::{Session, SessionExt, SessionMiddleware};
use actix_web::body::MessageBody;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Key, SameSite};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::Uri;
use actix_web::http::header::{HeaderValue, SET_COOKIE};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use uuid::Uuid;

use super::v1::problem::Problem;
use super::{ANSWER, State};
use crate::accounts::{self, Role, SessionKey};
use crate::database::in_time;

const COOKIE: &str = "docreader_session";
const TWO_WEEKS: Duration = Duration::days(14);
/// What a session's state holds, by these names.
const USER: &str = "user";
const CSRF: &str = "csrf";
const FLASH: &str = "flash";

/// The header in which scripts send a session's CSRF token.
pub const CSRF_HEADER: &str = "X-CSRF-Token";
/// The form field of the same.
pub const CSRF_FIELD: &str = "csrf_token";

/// Who is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    pub id: i64,
    pub username: String,
    pub role: Role,
    /// Forms and scripts send it, which other sites do not know.
    pub csrf: String,
}

#[derive(Serialize, Deserialize)]
struct User {
    id: i64,
    username: String,
    role: Role,
}

impl SignedIn {
    pub fn of(request: &HttpRequest) -> Option<Self> {
        let session = request.get_session();
        let User { id, username, role } = session.get(USER).ok()??;
        Some(Self { id, username, role, csrf: session.get(CSRF).ok()?? })
    }

    /// Whether a request that changes something comes from a page of ours: by its origin, and by the token it carries.
    pub fn is_meant(&self, request: &HttpRequest, token: Option<&str>) -> bool {
        let same = |token: &str| {
            let (a, b) = (token.as_bytes(), self.csrf.as_bytes());
            a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
        };
        is_same_origin(request) && token.is_some_and(same)
    }
}

/// Whether a browser sent a request from a page of this server. One that says nothing of where it comes from is no browser's of today.
pub fn is_same_origin(request: &HttpRequest) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = header("Sec-Fetch-Site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = header("Origin").or_else(|| header("Referer")) else { return true };
    let authority = origin.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
    authority.is_some() && authority.as_deref() == header("Host")
}

/// Begins a session; a former one ends, so that nobody who knows its key is logged in with it.
pub fn log_in(session: &Session, id: i64) -> anyhow::Result<()> {
    session.renew();
    // The name and the role are looked up with each request.
    session.insert(USER, User { id, username: String::new(), role: Role::Viewer })?;
    session.insert(CSRF, format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()))?;
    Ok(())
}

/// Keeps a sentence for the next page.
pub fn set_flash(request: &HttpRequest, sentence: &str) {
    // A text is always JSON.
    let _ = request.get_session().insert(FLASH, sentence);
}

pub fn take_flash(request: &HttpRequest) -> Option<String> {
    let session = request.get_session();
    // What is not there is not removed either: that would write the session for each page.
    let flash = session.get(FLASH).ok()??;
    session.remove(FLASH);
    Some(flash)
}

pub fn middleware(pool: &PgPool, signing_key: &Key) -> SessionMiddleware<Store> {
    SessionMiddleware::builder(Store(pool.clone()), signing_key.clone())
        .cookie_name(COOKIE.into())
        // Where the request came by TLS, `secure` says so later; this server itself speaks none.
        .cookie_secure(false)
        .cookie_same_site(SameSite::Lax)
        .session_lifecycle(
            PersistentSession::default()
                .session_ttl(TWO_WEEKS)
                .session_ttl_extension_policy(TtlExtensionPolicy::OnStateChanges),
        )
        .build()
}

/// actix-session answers 500, with nothing, where sessions cannot be read or written.
fn explain(error: actix_web::Error) -> actix_web::Error {
    let cause = (error.as_error::<InternalError<LoadError>>().map(ToString::to_string))
        .or_else(|| error.as_error::<InternalError<SaveError>>().map(ToString::to_string))
        .or_else(|| error.as_error::<InternalError<UpdateError>>().map(ToString::to_string))
        .or_else(|| error.as_error::<InternalError<anyhow::Error>>().map(ToString::to_string));
    let Some(cause) = cause else { return error };
    tracing::warn!(cause, "a session is out of reach");
    Problem::no_answer().into()
}

/// Marks cookies as `Secure` where the proxy in front speaks TLS with the client, and explains why there is no session.
pub async fn secure(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let by_tls = is_by_tls(request.request(), state.settings.limits.trusted_proxies);
    let mut response = next.call(request).await.map_err(explain)?;
    if by_tls && let Some(cookie) = response.headers_mut().remove(SET_COOKIE).next() {
        let secure = [cookie.as_bytes(), b"; Secure"].concat();
        response.headers_mut().insert(SET_COOKIE, HeaderValue::from_bytes(&secure).unwrap_or(cookie));
    }
    Ok(response)
}

/// As the nearest proxy says, if there is one.
pub fn is_by_tls(request: &HttpRequest, trusted_proxies: usize) -> bool {
    let named = request.headers().get("X-Forwarded-Proto").and_then(|value| value.to_str().ok());
    trusted_proxies > 0
        && named.is_some_and(|named| named.rsplit(',').next().is_some_and(|last| last.trim() == "https"))
}

/// Table `sessions` for actix-session.
pub struct Store(PgPool);

type Entries = HashMap<String, String>;

impl SessionStore for Store {
    async fn load(&self, key: &CookieKey) -> Result<Option<Entries>, LoadError> {
        let found = in_time(ANSWER, accounts::load_session(&self.0, &own(key))).await;
        let Some(found) = found.map_err(|error| LoadError::Other(error.into()))? else { return Ok(None) };
        let user = User { id: found.user_id, username: found.username, role: found.role };
        let mut state = Entries::from([(USER.into(), json(&user)?), (CSRF.into(), json(&found.csrf_token)?)]);
        if let Some(flash) = found.flash {
            state.insert(FLASH.into(), json(&flash)?);
        }
        Ok(Some(state))
    }

    async fn save(&self, state: Entries, ttl: &Duration) -> Result<CookieKey, SaveError> {
        let user: Option<User> = read(&state, USER);
        let csrf: Option<String> = read(&state, CSRF);
        let Some((user, csrf)) = user.zip(csrf) else {
            return Err(SaveError::Serialization(anyhow::anyhow!("only users have sessions")));
        };
        let saved = in_time(ANSWER, accounts::save_session(&self.0, user.id, &csrf, *ttl)).await;
        let key = saved.map_err(|error| SaveError::Other(error.into()))?;
        if let Some(flash) = read::<String>(&state, FLASH) {
            let kept = in_time(ANSWER, accounts::set_flash(&self.0, &key, Some(&flash))).await;
            kept.map_err(|error| SaveError::Other(error.into()))?;
        }
        CookieKey::try_from(key.as_str().to_owned()).map_err(|error| SaveError::Other(error.into()))
    }

    async fn update(&self, key: CookieKey, state: Entries, _: &Duration) -> Result<CookieKey, UpdateError> {
        let flash: Option<String> = read(&state, FLASH);
        let updated = in_time(ANSWER, accounts::set_flash(&self.0, &own(&key), flash.as_deref())).await;
        updated.map_err(|error| UpdateError::Other(error.into()))?;
        Ok(key)
    }

    async fn update_ttl(&self, key: &CookieKey, ttl: &Duration) -> anyhow::Result<()> {
        Ok(in_time(ANSWER, accounts::extend_session(&self.0, &own(key), *ttl)).await?)
    }

    async fn delete(&self, key: &CookieKey) -> anyhow::Result<()> {
        Ok(in_time(ANSWER, accounts::delete_session(&self.0, &own(key))).await?)
    }
}

fn own(key: &CookieKey) -> SessionKey {
    SessionKey::from_cookie(key.as_ref())
}

fn json(value: &impl Serialize) -> Result<String, LoadError> {
    serde_json::to_string(value).map_err(|error| LoadError::Deserialization(error.into()))
}

fn read<T: for<'a> Deserialize<'a>>(state: &Entries, name: &str) -> Option<T> {
    serde_json::from_str(state.get(name)?).ok()
}
