//! One change of many documents.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, web};

use super::{MOST_AT_ONCE, outcome};
use crate::accounts::Role;
use crate::admin::confirm::{ConfirmPage, Field, Question};
use crate::admin::error::{Error, Result};
use crate::admin::fields::Posted;
use crate::admin::format::count;
use crate::admin::login::local;
use crate::admin::page::{self, Page, see_other};
use crate::api::State;
use crate::api::requester::{Change, Requester};
use crate::api::session::set_flash;
use crate::documents::{self, Again, Changed};
use outcome::{Outcome, Verb};

pub async fn change(request: HttpRequest, posted: Posted, state: web::Data<State>) -> Result {
    posted.by.needs(Role::Operator)?;
    let next = local(posted.fields.text("next"));
    let verb = Verb::ALL.into_iter().find(|verb| verb.name() == posted.fields.text("action"));
    let verb =
        verb.ok_or_else(|| Error::BadRequest("It does not say what is to be done; use one of the buttons.".into()))?;
    let ids: BTreeSet<i64> = posted.fields.all("id").filter_map(|id| id.parse().ok()).collect();
    if ids.len() > MOST_AT_ONCE {
        return Err(Error::BadRequest(format!("At most {MOST_AT_ONCE} documents can be changed at a time.")));
    }
    if ids.is_empty() {
        set_flash(&request, "No document was selected, so nothing has changed.");
        return Ok(see_other(&next));
    }
    if verb != Verb::Retry && posted.fields.text("confirmed") != "1" {
        return ask(&request, &state, verb, &ids.into_iter().collect::<Vec<_>>(), next).await;
    }
    let by = posted.by.requester(&state, &request);
    let mut outcome = Outcome::default();
    for id in ids {
        outcome.add(apply(&state, &by, verb, id).await?);
    }
    set_flash(&request, &outcome.sentence(verb));
    Ok(see_other(&next))
}

async fn apply(state: &State, by: &Requester, verb: Verb, id: i64) -> sqlx::Result<Changed> {
    let change = match verb {
        Verb::Retry => Change::Retry,
        Verb::Cancel => Change::Cancel,
        Verb::Reprocess => Change::Reprocess(Again::default()),
        Verb::Delete => {
            let is_gone = state.delete_rows(by, id).await?.is_some();
            return Ok(if is_gone { Changed::Yes } else { Changed::NoSuchDocument });
        }
    };
    state.change(by, id, &change).await
}

async fn ask(request: &HttpRequest, state: &State, verb: Verb, ids: &[i64], next: String) -> Result {
    let documents = documents::listed(&state.pool, ids).await?;
    let many = count(documents.len() as i64, "document");
    let (infinitive, consequence) = match verb {
        Verb::Delete => ("Delete", "Their files and results are removed, too. This cannot be undone."),
        Verb::Cancel => (
            "Cancel",
            "Those that wait leave the queue, and those that run stop at their next page. A retry goes on from there.",
        ),
        Verb::Reprocess => (
            "Reprocess",
            "All pages are processed again, with the same options. The present results stay until the new ones are complete.",
        ),
        Verb::Retry => ("Retry", "Pages that have succeeded stay."),
    };
    let asked = Question {
        question: format!("{infinitive} {many}?"),
        consequence: consequence.into(),
        confirm_label: format!("{infinitive} {many}"),
        danger: verb == Verb::Delete,
    };
    let mut fields =
        vec![Field { name: "action", value: verb.name().into() }, Field { name: "next", value: next.clone() }];
    fields.extend(documents.iter().map(|document| Field { name: "id", value: document.id.to_string() }));
    let page = Page::new(request, "documents", asked.question.clone());
    page::show(&ConfirmPage::new(page, asked, "/admin/documents/bulk/".into(), fields, next).of(documents))
}
