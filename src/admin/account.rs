//! One's own account.

use actix_session::SessionExt;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;

use super::assets::filters;
use super::error::{Error, Result};
use super::fields::Posted;
use super::format::Time;
use super::login::hashing;
use super::page::{self, Page, see_other};
use super::visitor::Visitor;
use crate::accounts::{self, Action, Role};
use crate::api::State;
use crate::api::session::{self, set_flash};
use crate::documents;

/// What a new password must be.
pub const RULES: [&str; 3] = [
    "At least 8 characters.",
    "Not a common password, and not only digits.",
    "Not like the username or the email address.",
];

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    page: Page,
    email: String,
    role_words: &'static str,
    last_login: Time,
    rules: [&'static str; 3],
    errors: Errors,
}

#[derive(Default)]
struct Errors {
    old: String,
    new: String,
    again: String,
}

pub async fn show(request: HttpRequest, visitor: Visitor, state: web::Data<State>) -> Result {
    respond(&request, &visitor, &state, Errors::default()).await
}

async fn respond(request: &HttpRequest, visitor: &Visitor, state: &State, errors: Errors) -> Result {
    let user = accounts::user(&state.pool, visitor.0.id).await?.ok_or(Error::LoginNeeded)?;
    let is_wrong = !(errors.old.is_empty() && errors.new.is_empty() && errors.again.is_empty());
    let page = AccountPage {
        page: Page::new(request, "account", "Your account"),
        email: user.email,
        role_words: match user.role {
            Role::Viewer => "looks at documents, the queue and the models",
            Role::Operator => "also uploads and changes documents, and pauses the queue",
            Role::Admin => "also manages users and tokens",
        },
        last_login: user.last_login_at.into(),
        rules: RULES,
        errors,
    };
    page::respond(if is_wrong { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &page)
}

/// Ends all sessions, and begins a new one for whoever has changed it.
pub async fn change_password(request: HttpRequest, posted: Posted, state: web::Data<State>) -> Result {
    let (fields, me) = (&posted.fields, &posted.by.0);
    let user = accounts::user(&state.pool, me.id).await?.ok_or(Error::LoginNeeded)?;
    let found = accounts::find_user(&state.pool, &user.username).await?.ok_or(Error::LoginNeeded)?;
    let old = fields.secret("old_password").to_owned();
    let mut errors = Errors::default();
    if !hashing(move || accounts::verify_password(&old, Some(&found.password_hash))).await? {
        errors.old = "This is not your password.".into();
    }
    let new = fields.secret("new_password").to_owned();
    errors.new = complaints(&new, &user.username, &user.email).await?;
    if new != fields.secret("new_password_again") {
        errors.again = "The two new passwords differ.".into();
    }
    if !(errors.old.is_empty() && errors.new.is_empty() && errors.again.is_empty()) {
        return respond(&request, &posted.by, &state, errors).await;
    }
    let hash = hashing(move || accounts::hash_password(&new)).await?;
    let mut tx = documents::begin(&state.pool).await?;
    accounts::set_password(&mut tx, me.id, &hash).await?;
    posted.by.requester(&state, &request).record(&mut tx, Action::ChangePassword, None, &user.username).await?;
    tx.commit().await?;
    session::log_in(&request.get_session(), me.id).map_err(Error::Internal)?;
    set_flash(&request, "Your password is changed; your other sessions have ended.");
    Ok(see_other("/admin/account/"))
}

/// All that speaks against a password, in sentences.
pub async fn complaints(password: &str, username: &str, email: &str) -> Result<String> {
    let (password, username, email) = (password.to_owned(), username.to_owned(), email.to_owned());
    let checked = hashing(move || accounts::check_password(&password, &username, &email)).await?;
    let sentences = checked.err().unwrap_or_default();
    Ok(sentences.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}
