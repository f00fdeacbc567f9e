//! What is done to one document.

use actix_web::{HttpRequest, web};

use super::{document_id, outcome};
use crate::accounts::Role;
use crate::admin::confirm::{ConfirmPage, Field, Question};
use crate::admin::error::{Error, Result};
use crate::admin::fields::{Fields, Posted};
use crate::admin::login::local;
use crate::admin::page::{self, Page, see_other};
use crate::api::State;
use crate::api::requester::Change;
use crate::api::session::set_flash;
use crate::api::v1::document_request::{ReprocessRequest, title};
use crate::api::v1::params::number;
use crate::documents::{self, Again, Changed};

/// The fields of a form that asks for processing.
pub const OPTIONS: [&str; 5] = ["pages", "model", "score_threshold", "crop_min_score", "priority"];

pub async fn change(request: HttpRequest, posted: Posted, state: web::Data<State>) -> Result {
    posted.by.needs(Role::Operator)?;
    let id = document_id(&request)?;
    let fields = &posted.fields;
    let change = match request.match_info().get("change").unwrap_or_default() {
        "title" => Change::Rename(title(fields.text("title"))?),
        "cancel" => Change::Cancel,
        "retry" => Change::Retry,
        "reprocess" => Change::Reprocess(again(fields, &state).await?),
        "priority" => Change::Prioritize(number("priority", fields.text("priority"), -100, 100)?),
        _ => return Err(Error::NotFound),
    };
    let sentence = match state.change(&posted.by.requester(&state, &request), id, &change).await? {
        Changed::Yes => done(&change),
        Changed::NoSuchDocument => return Err(Error::NoDocument(id)),
        Changed::Refused(status) => {
            format!("Nothing has changed: the document {}, so it {}.", outcome::since(status), cannot(&change))
        }
    };
    set_flash(&request, &sentence);
    Ok(see_other(&back(id, fields)))
}

/// To the page that the form was on.
fn back(id: i64, fields: &Fields) -> String {
    match fields.text("next") {
        "" => format!("/admin/documents/{id}/"),
        next => local(next),
    }
}

/// What is not filled in is as it is for new documents.
async fn again(fields: &Fields, state: &State) -> Result<Again> {
    let mut asked = ReprocessRequest::default();
    for name in OPTIONS {
        let value = fields.text(name);
        if !value.is_empty() {
            asked.take_field(name, value)?;
        }
    }
    Ok(Again { anew: true, ..asked.again(state).await? })
}

fn done(change: &Change) -> String {
    match change {
        Change::Cancel => "The document is canceled.".into(),
        Change::Retry => "The document is queued again.".into(),
        Change::Reprocess(_) => {
            "The document is queued again; what it has stays until the new results are complete.".into()
        }
        Change::Rename(_) => "The title is changed.".into(),
        Change::Prioritize(priority) => format!("The document has priority {priority} now."),
    }
}

fn cannot(change: &Change) -> &'static str {
    match change {
        Change::Cancel => "cannot be canceled",
        Change::Retry => "cannot be retried",
        Change::Reprocess(_) => "cannot be processed again",
        Change::Rename(_) => "cannot be renamed",
        Change::Prioritize(_) => "needs no priority",
    }
}

/// Asks first.
pub async fn delete(request: HttpRequest, posted: Posted, state: web::Data<State>) -> Result {
    posted.by.needs(Role::Operator)?;
    let id = document_id(&request)?;
    let page = format!("/admin/documents/{id}/");
    if posted.fields.text("confirmed") == "1" {
        if !state.delete(&posted.by.requester(&state, &request), id).await? {
            return Err(Error::NoDocument(id));
        }
        set_flash(&request, "The document is deleted.");
        return Ok(see_other(&local(posted.fields.text("next"))));
    }
    let documents = documents::listed(&state.pool, &[id]).await?;
    let title = documents.first().map(|document| document.title.clone()).ok_or(Error::NoDocument(id))?;
    let asked = Question {
        question: format!("Delete “{title}”?"),
        consequence: "Its file and its results are removed, too. This cannot be undone.".into(),
        confirm_label: "Delete the document".into(),
        danger: true,
    };
    let fields = vec![Field { name: "next", value: posted.fields.text("next").to_owned() }];
    let shown = Page::new(&request, "documents", asked.question.clone());
    page::show(&ConfirmPage::new(shown, asked, format!("{page}delete/"), fields, page))
}
