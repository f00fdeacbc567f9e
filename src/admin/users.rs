//! Who may log in, and as what.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::account::{RULES, complaints};
use super::assets::filters;
use super::error::{Error, Result};
use super::fields::Posted;
use super::format::Time;
use super::login::hashing;
use super::page::{self, Page, see_other};
use super::visitor::Visitor;
use crate::accounts::{self, Action, NewUser, Role, UserError, UserRow};
use crate::api::State;
use crate::api::session::set_flash;
use crate::documents;

const PATH: &str = "/admin/users/";
const LAST_ADMIN: &str = "Nothing was changed: no other admin who may log in would be left.";

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    page: Page,
    users: Vec<Row>,
    rules: [&'static str; 3],
    new: New,
}

struct Row {
    id: i64,
    username: String,
    email: String,
    role: &'static str,
    enabled: bool,
    is_self: bool,
    last_login: Time,
}

/// What was typed, and what is wrong with it.
struct New {
    username: String,
    email: String,
    role: Role,
    error_username: String,
    error_email: String,
    error_password: String,
}

impl New {
    fn is_good(&self) -> bool {
        [&self.error_username, &self.error_email, &self.error_password].into_iter().all(String::is_empty)
    }
}

impl Default for New {
    fn default() -> Self {
        let none = String::new;
        let (username, email, role) = (none(), none(), Role::Viewer);
        Self { username, email, role, error_username: none(), error_email: none(), error_password: none() }
    }
}

pub async fn show(request: HttpRequest, visitor: Visitor, state: web::Data<State>) -> Result {
    visitor.needs(Role::Admin)?;
    respond(&request, &visitor, &state, New::default(), "").await
}

async fn respond(request: &HttpRequest, visitor: &Visitor, state: &State, new: New, error: &str) -> Result {
    let row = |user: UserRow| Row {
        id: user.id,
        username: user.username,
        email: user.email,
        role: user.role.name(),
        enabled: user.disabled_at.is_none(),
        is_self: user.id == visitor.0.id,
        last_login: user.last_login_at.into(),
    };
    let users = accounts::users(&state.pool).await?.into_iter().map(row).collect();
    let status = if new.is_good() && error.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let page = Page::new(request, "users", "Users").with_error(error);
    page::respond(status, &UsersPage { page, users, rules: RULES, new })
}

pub async fn create(request: HttpRequest, posted: Posted, state: web::Data<State>) -> Result {
    posted.by.needs(Role::Admin)?;
    let fields = &posted.fields;
    let role: Role = fields.text("role").parse().map_err(Error::BadRequest)?;
    let (username, email) = (fields.text("username").to_owned(), fields.text("email").to_owned());
    let mut new = New { username: username.clone(), email: email.clone(), role, ..New::default() };
    let password = fields.secret("password").to_owned();
    new.error_password = complaints(&password, &username, &email).await?;
    if !new.is_good() {
        return respond(&request, &posted.by, &state, new, "").await;
    }
    let hash = hashing(move || accounts::hash_password(&password)).await?;
    let mut tx = documents::begin(&state.pool).await?;
    let user = NewUser { username: &username, email: &email, password_hash: &hash, role };
    match accounts::create_user(&mut tx, user).await {
        Ok(_) => {}
        Err(UserError::Database(error)) => return Err(error.into()),
        Err(error @ UserError::BadEmail) => new.error_email = error.to_string(),
        Err(error @ (UserError::BadName | UserError::Taken)) => new.error_username = error.to_string(),
    }
    if !new.is_good() {
        return respond(&request, &posted.by, &state, new, "").await;
    }
    let detail = format!("{username}: {}", role.name());
    posted.by.requester(&state, &request).record(&mut tx, Action::CreateUser, None, &detail).await?;
    tx.commit().await?;
    Ok(done(&request, &format!("{username} may log in as {}.", role.name())))
}

fn done(request: &HttpRequest, sentence: &str) -> HttpResponse {
    set_flash(request, sentence);
    see_other(PATH)
}

/// The user that a path names, who is somebody else: nobody locks himself out by mistake.
async fn other(posted: &Posted, state: &State, id: i64) -> Result<UserRow> {
    posted.by.needs(Role::Admin)?;
    if posted.by.0.id == id {
        return Err(Error::BadRequest("Another admin has to change your own account here.".into()));
    }
    accounts::user(&state.pool, id).await?.ok_or(Error::NotFound)
}

pub async fn set_role(request: HttpRequest, id: web::Path<i64>, posted: Posted, state: web::Data<State>) -> Result {
    let user = other(&posted, &state, *id).await?;
    let role: Role = posted.fields.text("role").parse().map_err(Error::BadRequest)?;
    let mut tx = documents::begin(&state.pool).await?;
    if !accounts::set_role(&mut tx, user.id, role).await? {
        return respond(&request, &posted.by, &state, New::default(), LAST_ADMIN).await;
    }
    let detail = format!("{}: {}", user.username, role.name());
    posted.by.requester(&state, &request).record(&mut tx, Action::ChangeRole, None, &detail).await?;
    tx.commit().await?;
    Ok(done(&request, &format!("{} is {} now.", user.username, role.name())))
}

pub async fn disable(request: HttpRequest, id: web::Path<i64>, posted: Posted, state: web::Data<State>) -> Result {
    set_disabled(request, *id, posted, state, true).await
}

pub async fn enable(request: HttpRequest, id: web::Path<i64>, posted: Posted, state: web::Data<State>) -> Result {
    set_disabled(request, *id, posted, state, false).await
}

async fn set_disabled(
    request: HttpRequest,
    id: i64,
    posted: Posted,
    state: web::Data<State>,
    disabled: bool,
) -> Result {
    let user = other(&posted, &state, id).await?;
    let mut tx = documents::begin(&state.pool).await?;
    if !accounts::set_disabled(&mut tx, user.id, disabled).await? {
        return respond(&request, &posted.by, &state, New::default(), LAST_ADMIN).await;
    }
    let (action, now) = match disabled {
        true => (Action::DisableUser, "is disabled, and every session has ended"),
        false => (Action::EnableUser, "may log in again"),
    };
    posted.by.requester(&state, &request).record(&mut tx, action, None, &user.username).await?;
    tx.commit().await?;
    Ok(done(&request, &format!("{} {now}.", user.username)))
}

pub async fn set_password(request: HttpRequest, id: web::Path<i64>, posted: Posted, state: web::Data<State>) -> Result {
    let user = other(&posted, &state, *id).await?;
    let password = posted.fields.secret("password").to_owned();
    let error = complaints(&password, &user.username, &user.email).await?;
    if !error.is_empty() {
        return respond(&request, &posted.by, &state, New::default(), &error).await;
    }
    let hash = hashing(move || accounts::hash_password(&password)).await?;
    let mut tx = documents::begin(&state.pool).await?;
    accounts::set_password(&mut tx, user.id, &hash).await?;
    posted.by.requester(&state, &request).record(&mut tx, Action::ChangePassword, None, &user.username).await?;
    tx.commit().await?;
    Ok(done(&request, &format!("{} has a new password, and every session has ended.", user.username)))
}
