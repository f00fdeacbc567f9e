//! Logging in and out, at the paths of Django's admin.

use std::sync::LazyLock;

use actix_session::SessionExt;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use sqlx::PgConnection;
use tokio::sync::Semaphore;

use super::assets::filters;
use super::error::{Error, Result};
use super::fields::{Fields, Posted, query};
use super::page::{self, Page, see_other};
use super::throttle;
use crate::accounts::{self, Action};
use crate::api::State;
use crate::api::client::Client;
use crate::api::requester::Requester;
use crate::api::session::{self, SignedIn, is_same_origin};
use crate::documents;

/// Where one goes who asked for nothing else.
const START: &str = "/admin/documents/";
/// Hashing a password takes memory, so one is hashed at a time.
static HASHING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(1));

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    page: Page,
    error: &'static str,
    next: String,
    username: String,
}

#[derive(Template)]
#[template(path = "logged_out.html")]
struct LoggedOutPage {
    page: Page,
}

/// Shows the form, or logs in by the token of a link that is good for once.
pub async fn show(request: HttpRequest, state: web::Data<State>) -> Result {
    let query = query(&request);
    let next = local(query.text("next"));
    if !query.text("token").is_empty() {
        return by_link(&request, &state, query.text("token"), &next).await;
    }
    if SignedIn::of(&request).is_some() {
        return Ok(see_other(&next));
    }
    form(&request, StatusCode::OK, "", next, String::new())
}

fn form(request: &HttpRequest, status: StatusCode, error: &'static str, next: String, username: String) -> Result {
    page::respond(status, &LoginPage { page: Page::new(request, "login", "Sign in"), error, next, username })
}

/// The path to go on to: one of this server, or none at all.
pub fn local(next: &str) -> String {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n', '\t', '\0']);
    if is_path { next.to_owned() } else { START.to_owned() }
}

/// Runs what hashes a password where it holds nobody up.
pub async fn hashing<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let _turn = HASHING.acquire().await;
    web::block(work).await.map_err(|error| Error::Internal(error.into()))
}

pub async fn log_in(request: HttpRequest, body: Bytes, state: web::Data<State>) -> Result {
    // There is no session yet that could have a token.
    if !is_same_origin(&request) {
        return Err(Error::CrossSite);
    }
    let fields = Fields::parse(&body);
    let (username, password) = (fields.text("username").to_owned(), fields.secret("password").to_owned());
    let next = local(fields.text("next"));
    throttle::check(&username, Client::by_address(&request, state.settings.limits.trusted_proxies))?;
    let found = accounts::find_user(&state.pool, &username).await?;
    let (id, hash) = found.map(|user| (user.id, user.password_hash)).unzip();
    let is_right = hashing(move || accounts::verify_password(&password, hash.as_deref())).await?;
    let Some(id) = id.filter(|_| is_right) else {
        let stranger = Requester::of(&state, &request);
        let name: String = username.chars().take(150).collect();
        let mut tx = documents::begin(&state.pool).await?;
        stranger.record(&mut tx, Action::FailToLogIn, None, &name.replace('\0', "")).await?;
        tx.commit().await?;
        let error =
            "The username and the password do not fit together. Both are case-sensitive where it matters; try again.";
        return form(&request, StatusCode::UNAUTHORIZED, error, next, username);
    };
    let mut tx = documents::begin(&state.pool).await?;
    welcome(&request, &state, &mut tx, id).await?;
    tx.commit().await?;
    Ok(see_other(&next))
}

async fn by_link(request: &HttpRequest, state: &web::Data<State>, token: &str, next: &str) -> Result {
    throttle::check("", Client::by_address(request, state.settings.limits.trusted_proxies))?;
    let mut tx = documents::begin(&state.pool).await?;
    let Some(id) = accounts::use_login_link(&mut tx, token).await? else {
        let error = "This link has been used, or is too old. Sign in with the password.";
        return form(request, StatusCode::UNAUTHORIZED, error, next.to_owned(), String::new());
    };
    welcome(request, state, &mut tx, id).await?;
    tx.commit().await?;
    Ok(see_other(next))
}

/// Begins a session of a user who has shown who he is.
async fn welcome(request: &HttpRequest, state: &State, db: &mut PgConnection, id: i64) -> Result<()> {
    accounts::log_in(db, id).await?;
    Requester::new(state, request, Client::User(id)).record(db, Action::LogIn, None, "").await?;
    accounts::prune_sessions(db).await?;
    session::log_in(&request.get_session(), id).map_err(Error::Internal)
}

/// For those who come by a link: a page that logs out would do so from any site.
pub async fn ask(request: HttpRequest) -> Result {
    match SignedIn::of(&request) {
        Some(_) => Ok(see_other("/admin/account/")),
        None => page::show(&LoggedOutPage { page: Page::new(&request, "login", "Logged out") }),
    }
}

pub async fn log_out(request: HttpRequest, posted: Posted, state: web::Data<State>) -> Result {
    let mut tx = documents::begin(&state.pool).await?;
    posted.by.requester(&state, &request).record(&mut tx, Action::LogOut, None, "").await?;
    tx.commit().await?;
    request.get_session().purge();
    Ok(HttpResponse::SeeOther().insert_header(("Location", "/admin/logout/")).finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(local("/admin/queue/?x=1"), "/admin/queue/?x=1");
        for elsewhere in ["", "https://example.org/", "//example.org", "/\\example.org", "javascript:alert(1)", "/\t/x"]
        {
            assert_eq!(local(elsewhere), START, "{elsewhere}");
        }
    }
}
