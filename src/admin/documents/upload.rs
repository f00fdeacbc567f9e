//! Uploads by a form; with JavaScript the page sends files to /api/v1, one by one.

use actix_web::web::{self, Payload};
use actix_web::{HttpMessage, HttpRequest, ResponseError};
use askama::Template;

use super::options::{ModelChoice, Options, model_choices};
use crate::accounts::Role;
use crate::admin::assets::filters;
use crate::admin::error::{Error, Result};
use crate::admin::format::count;
use crate::admin::page::{self, Page, see_other};
use crate::admin::visitor::Visitor;
use crate::api::State;
use crate::api::client::Client;
use crate::api::form::{FileField, Form, TitleField};
use crate::api::session::{CSRF_FIELD, SignedIn, is_same_origin, set_flash};
use crate::api::v1::create::{from_request, keep_form, receive_form};
use crate::api::v1::document_request::{DocumentRequest, ReprocessRequest, check_url};
use crate::api::v1::problem::{self, Code, Problem};
use crate::documents::DocumentRow;

/// Addresses of one form.
const MOST_URLS: usize = 100;

#[derive(Template)]
#[template(path = "upload.html")]
struct UploadPage {
    page: Page,
    options: Options,
    models: Vec<ModelChoice>,
    title: String,
    url: String,
    max_size: String,
    max_bytes: u64,
    options_open: bool,
}

/// What a form holds beside a file.
#[derive(Default)]
struct Sent {
    title: String,
    url: String,
    model: String,
    options: Options,
}

/// What became of a form.
struct Received {
    sent: Sent,
    made: problem::Result<Vec<DocumentRow>>,
}

pub async fn show(request: HttpRequest, by: Visitor, state: web::Data<State>) -> Result {
    by.needs(Role::Operator)?;
    let sent = Sent { options: Options::new(), ..Sent::default() };
    page::show(&form(&state, Page::new(&request, "upload", "Upload"), sent, false).await?)
}

async fn form(state: &State, page: Page, sent: Sent, options_open: bool) -> sqlx::Result<UploadPage> {
    let max_bytes = state.settings.max_upload;
    Ok(UploadPage {
        page,
        models: model_choices(&state.pool, Some(&sent.model)).await?,
        options: sent.options,
        title: sent.title,
        url: sent.url,
        // As MAX_UPLOAD_MB has it.
        max_size: format!("{} MB", max_bytes >> 20),
        max_bytes,
        options_open,
    })
}

pub async fn receive(request: HttpRequest, by: Visitor, payload: Payload, state: web::Data<State>) -> Result {
    by.needs(Role::Operator)?;
    // Before anything is stored; the token is one of the fields.
    if !is_same_origin(&request) {
        return Err(Error::CrossSite);
    }
    request.extensions_mut().insert(Client::User(by.0.id));
    let user = by.0;
    let keep =
        async move |state: &State, request: &HttpRequest, form: &mut Form| keep(state, request, &user, form).await;
    let received = receive_form(&state, &request, payload, keep).await;
    let received = received.unwrap_or_else(|problem| Some(Received { sent: Sent::default(), made: Err(problem) }));
    let Received { sent, made } = received.ok_or(Error::CrossSite)?;
    match made.as_deref() {
        Ok([one]) => {
            set_flash(&request, "The document is uploaded; a worker takes it from the queue.");
            Ok(see_other(&format!("/admin/documents/{}/", one.id)))
        }
        Ok(all) => {
            set_flash(&request, &format!("{} are queued.", count(all.len() as i64, "document")));
            Ok(see_other("/admin/documents/"))
        }
        Err(problem) => {
            let shown = Page::new(&request, "upload", "Upload").with_error(problem.detail());
            page::respond(problem.status_code(), &form(&state, shown, sent, true).await?)
        }
    }
}

/// Makes documents of what was sent; `None` if no page of ours sent it, and then nothing is kept.
async fn keep(
    state: &State,
    request: &HttpRequest,
    user: &SignedIn,
    form: &mut Form,
) -> problem::Result<Option<Received>> {
    let token = take(form, CSRF_FIELD);
    let sent = Sent::of(form);
    let urls: Vec<String> = take(form, "url").split_whitespace().map(str::to_owned).collect();
    if !user.is_meant(request, Some(&token)) {
        state.discard(form).await;
        return Ok(None);
    }
    let has_file = !matches!(form.file, FileField::Missing | FileField::Null | FileField::NotAFile);
    let made = match (has_file, urls.is_empty()) {
        (true, true) => keep_form(state, request, form, None).await.map(|row| vec![row]),
        (false, false) => fetch(state, request, form, &urls).await,
        (true, false) => Err(Problem::new(Code::InvalidForm, "Send a file or addresses, not both at once.")),
        (false, true) => Err(Problem::new(Code::MissingFile, "Choose a file, or give the address of one.")),
    };
    if made.is_err() {
        state.discard(form).await;
    }
    Ok(Some(Received { sent, made }))
}

/// A document for each address; none if one of them is refused.
async fn fetch(
    state: &State,
    request: &HttpRequest,
    form: &Form,
    urls: &[String],
) -> problem::Result<Vec<DocumentRow>> {
    if urls.len() > MOST_URLS {
        return Err(Problem::new(Code::InvalidForm, format!("At most {MOST_URLS} addresses can be sent at a time.")));
    }
    urls.iter().try_for_each(|url| check_url(state, "url", url))?;
    let mut processing = ReprocessRequest::default();
    for (name, value) in form.others.iter().filter(|(_, value)| !value.is_empty()) {
        processing.take_field(name, value)?;
    }
    let title = match &form.title {
        // Several keep their names.
        TitleField::Text(title) if !title.is_empty() && urls.len() == 1 => Some(title.clone()),
        _ => None,
    };
    let mut made = vec![];
    for url in urls {
        let wishes = DocumentRequest::at(url.clone(), title.clone(), processing.clone());
        made.push(from_request(state, request, &wishes, None).await?);
    }
    Ok(made)
}

/// The text of a field, which is taken out.
fn take(form: &mut Form, name: &str) -> String {
    let at = form.others.iter().position(|(own, _)| own == name);
    at.map(|at| form.others.remove(at).1).unwrap_or_default()
}

impl Sent {
    fn of(form: &Form) -> Self {
        let text =
            |name| form.others.iter().find(|(own, _)| own == name).map(|(_, text)| text.clone()).unwrap_or_default();
        Self {
            title: match &form.title {
                TitleField::Text(title) => title.clone(),
                _ => String::new(),
            },
            url: text("url"),
            model: text("model"),
            options: Options {
                pages: text("pages"),
                score_threshold: text("score_threshold"),
                crop_min_score: text("crop_min_score"),
                priority: text("priority"),
                ..Options::new()
            },
        }
    }
}
