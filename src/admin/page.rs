//! What all pages share.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::error::{Error, Result};
use crate::accounts::Role;
use crate::api::session::{SignedIn, take_flash};

/// Scripts and styles come from files of ours only; what a document holds can run nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Fields of the layout; texts are empty where there is nothing to say.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub title: String,
    pub section: &'static str,
    pub user: String,
    pub role: &'static str,
    pub signed_in: bool,
    pub can_write: bool,
    pub is_admin: bool,
    pub csrf: String,
    pub notice: String,
    pub error: String,
}

impl Page {
    pub fn new(request: &HttpRequest, section: &'static str, title: impl Into<String>) -> Self {
        let title = title.into();
        let Some(user) = SignedIn::of(request) else { return Self { title, section, ..Self::default() } };
        Self {
            title,
            section,
            role: user.role.name(),
            signed_in: true,
            can_write: user.role >= Role::Operator,
            is_admin: user.role == Role::Admin,
            user: user.username,
            csrf: user.csrf,
            notice: take_flash(request).unwrap_or_default(),
            error: String::new(),
        }
    }

    pub fn with_error(mut self, error: impl Into<String>) -> Self {
        self.error = error.into();
        self
    }
}

/// A page as an answer.
pub fn respond(status: StatusCode, template: &impl Template) -> Result {
    let html = template.render().map_err(|error| Error::Internal(error.into()))?;
    Ok(HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "same-origin"))
        // Pages hold what only this user may see, and are never what they were.
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .body(html))
}

pub fn show(template: &impl Template) -> Result {
    respond(StatusCode::OK, template)
}

/// After a change, so that reloading does not repeat it.
pub fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header(("Location", location)).finish()
}
