//! Rows of `audit_log`: what people and tokens change.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// Who changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// By id.
    User(i64),
    /// By id.
    Token(i64),
    /// The account and host that a command runs on.
    CommandLine(String),
    /// Where no token is needed.
    Anonymous,
}

/// What is done; the names are those in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    CreateDocument,
    RenameDocument,
    CancelDocument,
    RetryDocument,
    ReprocessDocument,
    PrioritizeDocument,
    DeleteDocument,
    CreateUpload,
    PauseQueue,
    ResumeQueue,
    PruneJobs,
    LogIn,
    LogOut,
    FailToLogIn,
    ChangePassword,
    CreateUser,
    CreateLoginLink,
    ChangeRole,
    DisableUser,
    EnableUser,
    CreateToken,
    RevokeToken,
}

impl Action {
    pub const ALL: [Self; 22] = [
        Self::CreateDocument,
        Self::RenameDocument,
        Self::CancelDocument,
        Self::RetryDocument,
        Self::ReprocessDocument,
        Self::PrioritizeDocument,
        Self::DeleteDocument,
        Self::CreateUpload,
        Self::PauseQueue,
        Self::ResumeQueue,
        Self::PruneJobs,
        Self::LogIn,
        Self::LogOut,
        Self::FailToLogIn,
        Self::ChangePassword,
        Self::CreateUser,
        Self::CreateLoginLink,
        Self::ChangeRole,
        Self::DisableUser,
        Self::EnableUser,
        Self::CreateToken,
        Self::RevokeToken,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::CreateDocument => "document.create",
            Self::RenameDocument => "document.rename",
            Self::CancelDocument => "document.cancel",
            Self::RetryDocument => "document.retry",
            Self::ReprocessDocument => "document.reprocess",
            Self::PrioritizeDocument => "document.prioritize",
            Self::DeleteDocument => "document.delete",
            Self::CreateUpload => "upload.create",
            Self::PauseQueue => "queue.pause",
            Self::ResumeQueue => "queue.resume",
            Self::PruneJobs => "queue.prune",
            Self::LogIn => "login",
            Self::LogOut => "logout",
            Self::FailToLogIn => "login.fail",
            Self::ChangePassword => "password.change",
            Self::CreateUser => "user.create",
            Self::CreateLoginLink => "user.link",
            Self::ChangeRole => "user.role",
            Self::DisableUser => "user.disable",
            Self::EnableUser => "user.enable",
            Self::CreateToken => "token.create",
            Self::RevokeToken => "token.revoke",
        }
    }
}

/// What is to be kept of a change.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    pub actor: &'a Actor,
    pub action: Action,
    pub document: Option<i64>,
    /// What was changed if it is no document, and how; no secrets.
    pub detail: &'a str,
    /// Where the request comes from.
    pub address: Option<&'a str>,
}

/// Writes an entry: in the transaction of the change itself, so that there is none without the other.
pub async fn record(db: &mut PgConnection, entry: Entry<'_>) -> sqlx::Result<()> {
    let (kind, id, name) = match entry.actor {
        Actor::User(id) => ("user", Some(*id), ""),
        Actor::Token(id) => ("token", Some(*id), ""),
        Actor::CommandLine(name) => ("command line", None, name.as_str()),
        Actor::Anonymous => ("anonymous", None, ""),
    };
    sqlx::query!(
        "insert into audit_log (actor_kind, actor_id, actor, action, document_id, detail, address)
         values ($1, $2, coalesce(
             case $1 when 'user' then (select username from users where id = $2)
                     when 'token' then (select name from api_tokens where id = $2) end, $3),
             $4, $5, $6, $7)",
        kind,
        id,
        name,
        entry.action.name(),
        entry.document,
        entry.detail,
        entry.address
    )
    .execute(db)
    .await
    .map(drop)
}

#[derive(Debug)]
pub struct AuditRow {
    pub id: i64,
    pub at: OffsetDateTime,
    pub actor_kind: String,
    pub actor: String,
    pub action: String,
    pub document_id: Option<i64>,
    /// Whether the document is still there.
    pub document_exists: bool,
    pub detail: String,
    pub address: Option<String>,
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub actor: Option<String>,
    pub action: Option<String>,
    pub document: Option<i64>,
    /// Only entries before this one.
    pub before: Option<i64>,
}

/// Entries, newest first.
pub async fn audit_log(pool: &PgPool, filter: &AuditFilter, limit: i64) -> sqlx::Result<Vec<AuditRow>> {
    sqlx::query_as!(
        AuditRow,
        r#"select a.id, a.at, a.actor_kind, a.actor, a.action, a.document_id,
               exists (select 1 from documents d where d.id = a.document_id) as "document_exists!", a.detail, a.address
           from audit_log a
           where ($1::text is null or a.actor = $1) and ($2::text is null or a.action = $2)
               and ($3::bigint is null or a.document_id = $3) and ($4::bigint is null or a.id < $4)
           order by a.id desc limit $5"#,
        filter.actor,
        filter.action,
        filter.document,
        filter.before,
        limit
    )
    .fetch_all(pool)
    .await
}
