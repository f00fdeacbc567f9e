//! Tokens for programs.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use clap::ValueEnum;

use super::assets::filters;
use super::error::{Error, Result};
use super::fields::Posted;
use super::format::Time;
use super::home::base_url;
use super::page::{self, Page, see_other};
use super::visitor::Visitor;
use crate::accounts::{Action, Role};
use crate::api::session::set_flash;
use crate::api::{Policy, State};
use crate::documents::{self, Scope, TokenRow};

const MAX_NAME: usize = 100;

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    page: Page,
    has_tokens: bool,
    tokens: Vec<Row>,
    base_url: String,
    access_words: &'static str,
    new: New,
}

struct Row {
    id: i64,
    name: String,
    scope: String,
    active: bool,
    created: Time,
    last_used: Time,
    revoked: Time,
}

/// What was typed, what is wrong with it, and the token that was made.
#[derive(Default)]
struct New {
    name: String,
    scope: String,
    error: &'static str,
    token: String,
}

impl From<TokenRow> for Row {
    fn from(token: TokenRow) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scope: token.scope,
            active: token.revoked_at.is_none(),
            created: token.created_at.into(),
            last_used: token.last_used_at.into(),
            revoked: token.revoked_at.into(),
        }
    }
}

pub async fn show(request: HttpRequest, visitor: Visitor, state: web::Data<State>) -> Result {
    visitor.needs(Role::Admin)?;
    respond(&request, &state, New::default()).await
}

async fn respond(request: &HttpRequest, state: &State, new: New) -> Result {
    let tokens: Vec<Row> = documents::tokens(&state.pool).await?.into_iter().map(Row::from).collect();
    let status = if new.error.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let page = TokensPage {
        page: Page::new(request, "tokens", "Tokens"),
        has_tokens: !tokens.is_empty(),
        tokens,
        base_url: base_url(request, state),
        access_words: match state.settings.auth {
            Policy::Off => "API_AUTH is off: /api/v1 asks nobody for a token.",
            Policy::Auto => "Everybody who reaches this server may use /api/v1 until there is a token.",
            Policy::Required => "Nobody without a session may use /api/v1 until there is a token.",
        },
        new,
    };
    page::respond(status, &page)
}

pub async fn create(request: HttpRequest, posted: Posted, state: web::Data<State>) -> Result {
    posted.by.needs(Role::Admin)?;
    let (name, asked) = (posted.fields.text("name").to_owned(), posted.fields.text("scope").to_owned());
    let scope = Scope::from_str(&asked, false).map_err(Error::BadRequest)?;
    let mut new = New { name, scope: asked, ..New::default() };
    if new.name.is_empty() || new.name.chars().count() > MAX_NAME || new.name.contains('\0') {
        new.error = "A name has 1 to 100 characters.";
        return respond(&request, &state, new).await;
    }
    let mut tx = documents::begin(&state.pool).await?;
    let Some(token) = documents::create_token(&mut tx, &new.name, scope).await? else {
        new.error = "There is a token of this name already.";
        return respond(&request, &state, new).await;
    };
    posted.by.requester(&state, &request).record(&mut tx, Action::CreateToken, None, &new.name).await?;
    tx.commit().await?;
    new.token = token;
    respond(&request, &state, new).await
}

pub async fn revoke(request: HttpRequest, id: web::Path<i64>, posted: Posted, state: web::Data<State>) -> Result {
    posted.by.needs(Role::Admin)?;
    let tokens = documents::tokens(&state.pool).await?;
    let token = tokens.into_iter().find(|token| token.id == *id).ok_or(Error::NotFound)?;
    let mut tx = documents::begin(&state.pool).await?;
    if documents::revoke_token(&mut tx, &token.name).await? {
        posted.by.requester(&state, &request).record(&mut tx, Action::RevokeToken, None, &token.name).await?;
        tx.commit().await?;
    }
    set_flash(&request, &format!("The token {:?} is revoked.", token.name));
    Ok(see_other("/admin/tokens/"))
}
