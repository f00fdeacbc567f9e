//! Who changed what.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::assets::filters;
use super::error::Result;
use super::fields::query;
use super::format::Time;
use super::page::{self, Page};
use super::visitor::Visitor;
use crate::accounts::{self, Action, AuditFilter, AuditRow, Role};
use crate::api::State;

const ROWS: i64 = 100;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    page: Page,
    who: String,
    actions: Vec<Choice>,
    filtered: bool,
    has_rows: bool,
    rows: Vec<Row>,
    has_pager: bool,
    prev_url: String,
    next_url: String,
}

struct Choice {
    value: &'static str,
    label: &'static str,
    selected: bool,
}

struct Row {
    at: Time,
    who: String,
    by_token: bool,
    action: String,
    document_url: String,
    document_title: String,
    from: String,
}

/// An action in words.
fn words(action: Action) -> &'static str {
    match action {
        Action::CreateDocument => "Uploaded a document",
        Action::RenameDocument => "Renamed a document",
        Action::CancelDocument => "Canceled a document",
        Action::RetryDocument => "Retried a document",
        Action::ReprocessDocument => "Reprocessed a document",
        Action::PrioritizeDocument => "Changed a document's priority",
        Action::DeleteDocument => "Deleted a document",
        Action::CreateUpload => "Began an upload",
        Action::PauseQueue => "Paused a queue",
        Action::ResumeQueue => "Resumed a queue",
        Action::PruneJobs => "Removed old jobs",
        Action::LogIn => "Logged in",
        Action::LogOut => "Logged out",
        Action::FailToLogIn => "Failed to log in",
        Action::ChangePassword => "Changed a password",
        Action::CreateUser => "Made a user",
        Action::CreateLoginLink => "Made a link that logs in",
        Action::ChangeRole => "Changed a role",
        Action::DisableUser => "Disabled a user",
        Action::EnableUser => "Enabled a user",
        Action::CreateToken => "Made a token",
        Action::RevokeToken => "Revoked a token",
    }
}

impl From<AuditRow> for Row {
    fn from(row: AuditRow) -> Self {
        let action = Action::ALL.into_iter().find(|action| action.name() == row.action);
        let action = action.map_or(row.action, |action| words(action).to_owned());
        let who = match row.actor_kind.as_str() {
            "anonymous" => "Somebody without an account".to_owned(),
            "command line" => format!("{} (command line)", row.actor),
            _ => row.actor,
        };
        let document = row.document_id.map(|id| format!("#{id}")).unwrap_or_default();
        Self {
            at: row.at.into(),
            who,
            by_token: row.actor_kind == "token",
            action: if row.detail.is_empty() { action } else { format!("{action}: {}", row.detail) },
            document_url: (row.document_id.filter(|_| row.document_exists))
                .map(|id| format!("/admin/documents/{id}/"))
                .unwrap_or_default(),
            document_title: document,
            from: row.address.unwrap_or_default(),
        }
    }
}

pub async fn show(request: HttpRequest, visitor: Visitor, state: web::Data<State>) -> Result {
    visitor.needs(Role::Admin)?;
    let query = query(&request);
    let named = |name: &str| Some(query.text(name).replace('\0', "")).filter(|text| !text.is_empty());
    let filter = AuditFilter {
        actor: named("who"),
        action: named("action"),
        document: query.text("document").parse().ok(),
        before: query.text("cursor").parse().ok(),
    };
    let mut rows = accounts::audit_log(&state.pool, &filter, ROWS + 1).await?;
    let more = rows.len() as i64 > ROWS;
    rows.truncate(ROWS as usize);
    let link = |cursor: Option<i64>| {
        let mut link = form_urlencoded::Serializer::new("/admin/audit/?".to_owned());
        let document = filter.document.map(|id| id.to_string());
        for (name, value) in [("who", &filter.actor), ("action", &filter.action), ("document", &document)] {
            if let Some(value) = value {
                link.append_pair(name, value);
            }
        }
        if let Some(id) = cursor {
            link.append_pair("cursor", &id.to_string());
        }
        link.finish()
    };
    let next_url = rows.last().filter(|_| more).map(|last| link(Some(last.id))).unwrap_or_default();
    let prev_url = filter.before.map(|_| link(None)).unwrap_or_default();
    let choice = |action: Action| Choice {
        value: action.name(),
        label: words(action),
        selected: filter.action.as_deref() == Some(action.name()),
    };
    page::show(&AuditPage {
        page: Page::new(&request, "audit", "Audit log"),
        actions: Action::ALL.into_iter().map(choice).collect(),
        filtered: filter.actor.is_some() || filter.action.is_some() || filter.document.is_some(),
        who: filter.actor.unwrap_or_default(),
        has_rows: !rows.is_empty(),
        rows: rows.into_iter().map(Row::from).collect(),
        has_pager: !(next_url.is_empty() && prev_url.is_empty()),
        prev_url,
        next_url,
    })
}
