//! One document: its pages with their regions, and all that is known of it.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::about::{self, Attempt, Download, Fact};
use super::list::rfc3339;
use super::options::{ModelChoice, Options, model_choices};
use super::viewer::Viewer;
use super::{document_id, words};
use crate::admin::assets::filters;
use crate::admin::error::{Error, Result};
use crate::admin::fields::query;
use crate::admin::page::{self, Page};
use crate::admin::visitor::Visitor;
use crate::api::State;
use crate::documents::{self, DocumentRow, FailedPage, PageRow, Status};
use crate::queue::{self, Standing};

/// Failed pages that are told; the strip marks all of them.
const MOST_FAILED_PAGES: usize = 100;

#[derive(Template)]
#[template(path = "document.html")]
struct DocumentPage {
    page: Page,
    document: Shown,
    options: Options,
    models: Vec<ModelChoice>,
    facts: Vec<Fact>,
    downloads: Vec<Download>,
    compare_url: String,
    has_attempts: bool,
    attempts: Vec<Attempt>,
    has_failed_pages: bool,
    failed_pages: Vec<Failure>,
    viewer: Viewer,
}

/// Texts are empty where there is nothing to say.
struct Shown {
    id: i64,
    title: String,
    status: &'static str,
    status_label: &'static str,
    is_live: bool,
    pages_done: i32,
    page_count: i32,
    progress: String,
    error: String,
    warning: String,
    note: &'static str,
    queued_at: String,
    can_retry: bool,
    can_cancel: bool,
    can_reprocess: bool,
}

struct Failure {
    number: i32,
    message: String,
    url: String,
}

pub async fn show(request: HttpRequest, _: Visitor, state: web::Data<State>) -> Result {
    let id = document_id(&request)?;
    let pool = &state.pool;
    let row = documents::get(pool, id).await?.ok_or(Error::NoDocument(id))?;
    let pages = documents::pages(pool, id, None).await?;
    let failed = documents::failed_pages(pool, id).await?;
    let viewer = viewer(&state, &row, &pages, &failed, query(&request).text("page").parse().ok()).await?;
    let attempts = about::attempts(queue::attempts(pool, id).await?);
    let models = model_choices(pool, row.wanted_model.as_deref()).await?;
    let compare_url = match documents::earlier_run(pool, id).await? {
        Some(_) if viewer.has_pages => format!("/admin/documents/{id}/compare/?page={}", viewer.number),
        _ => String::new(),
    };
    let (standing, position) = place(&state, &row).await?;
    page::show(&DocumentPage {
        page: Page::new(&request, "documents", row.title.clone()),
        options: Options::of(&row),
        models,
        facts: about::facts(&row),
        downloads: about::downloads(&row, !pages.is_empty()),
        compare_url,
        has_attempts: !attempts.is_empty(),
        attempts,
        has_failed_pages: !failed.is_empty(),
        failed_pages: failed.into_iter().take(MOST_FAILED_PAGES).map(|page| Failure::new(id, page)).collect(),
        viewer,
        document: Shown::new(row, standing, position),
    })
}

async fn viewer(
    state: &State,
    row: &DocumentRow,
    pages: &[PageRow],
    failed: &[FailedPage],
    wanted: Option<i32>,
) -> Result<Viewer> {
    let viewer = Viewer::new(row, pages, failed, wanted);
    let Some(page) = pages.iter().find(|page| i64::from(page.number) == viewer.number) else { return Ok(viewer) };
    let found = documents::found(&state.pool, &[page.id]).await?;
    Ok(viewer.with_regions(row.id, page, found))
}

/// In the queue, of a document that has not ended.
async fn place(state: &State, row: &DocumentRow) -> sqlx::Result<(Option<Standing>, Option<i64>)> {
    if row.status.is_final() {
        return Ok((None, None));
    }
    let standing = queue::standings(&state.pool, &[row.id]).await?.pop();
    let position = match row.status {
        Status::Pending => queue::position(&state.pool, row.id).await?,
        _ => None,
    };
    Ok((standing, position))
}

impl Failure {
    fn new(document: i64, page: FailedPage) -> Self {
        let url = format!("/admin/documents/{document}/?page={}", page.number);
        Self { number: page.number, message: page.message, url }
    }
}

impl Shown {
    fn new(row: DocumentRow, standing: Option<Standing>, position: Option<i64>) -> Self {
        let is_live = !row.status.is_final();
        let next_attempt_at = standing.as_ref().and_then(|standing| standing.next_attempt_at);
        let last_error = standing.and_then(|standing| standing.last_error);
        Self {
            id: row.id,
            status: row.status.name(),
            status_label: words::status_label(row.status),
            is_live,
            pages_done: row.pages_done,
            page_count: row.page_count.unwrap_or(0),
            progress: about::progress(&row, next_attempt_at, position),
            error: words::error(&row),
            warning: match last_error {
                Some(error) => format!("The last attempt failed, and another one follows: {}", words::reason(&error)),
                None => words::warning(&row),
            },
            note: note(&row),
            queued_at: rfc3339(row.queued_at.unwrap_or(row.created_at)),
            can_retry: matches!(row.status, Status::Failed | Status::Canceled)
                || (row.status == Status::Done && row.pages_failed > 0),
            can_cancel: is_live,
            can_reprocess: !is_live,
            title: row.title,
        }
    }
}

/// Where readers see former results.
fn note(row: &DocumentRow) -> &'static str {
    match (row.shown_run, row.status.is_final()) {
        (None, _) => "",
        (Some(_), false) => "Earlier results are shown until the new ones are complete.",
        (Some(_), true) => "Earlier results are shown, since the last run did not come to its end.",
    }
}
