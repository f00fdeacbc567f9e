//! The front door.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::assets::filters;
use super::error::Result;
use super::error_page::{nothing, wants_html};
use super::page::{self, Page, see_other};
use crate::api::{ANSWER, State};
use crate::database::in_time;
use crate::queue;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    page: Page,
    database_ok: bool,
    workers: i64,
    running: i64,
    waiting: i64,
    can_upload: bool,
    base_url: String,
}

pub async fn show(request: HttpRequest, state: web::Data<State>) -> Result {
    if !wants_html(&request) {
        return nothing(request).await;
    }
    let health = in_time(ANSWER, queue::health(&state.pool)).await;
    let health = health.inspect_err(|error| tracing::warn!(%error, "the start page has no figures")).ok();
    let page = Page::new(&request, "home", "See what stands on a page");
    page::show(&HomePage {
        can_upload: page.can_write || !page.signed_in,
        page,
        database_ok: health.is_some(),
        workers: health.as_ref().map_or(0, |h| h.workers),
        running: health.as_ref().map_or(0, |h| h.running),
        waiting: health.as_ref().map_or(0, |h| h.ready + h.scheduled),
        base_url: base_url(&request, &state),
    })
}

/// How people reach this server, as far as the request tells.
pub fn base_url(request: &HttpRequest, state: &State) -> String {
    let by_tls = crate::api::session::is_by_tls(request, state.settings.limits.trusted_proxies);
    let host = request.headers().get("Host").and_then(|host| host.to_str().ok()).unwrap_or("localhost:8000");
    format!("{}://{host}", if by_tls { "https" } else { "http" })
}

pub async fn admin() -> Result {
    Ok(see_other("/admin/documents/"))
}
