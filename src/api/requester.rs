//! Who asks for a change, and changes with their entry in the audit log.

use actix_web::{HttpMessage, HttpRequest};
use sqlx::PgConnection;

use super::State;
use super::client::{self, Client};
use crate::accounts::{self, Action, Actor, Entry};
use crate::documents::{self, Again, Changed, Title};
use crate::pipeline::remove_garbage;

/// Whoever sends a request, as the audit log names him.
#[derive(Debug, Clone)]
pub struct Requester {
    pub client: Client,
    actor: Actor,
    address: String,
}

/// What may be done to a document that is there.
#[derive(Debug, Clone)]
pub enum Change {
    Cancel,
    Retry,
    Reprocess(Again),
    Rename(Title),
    Prioritize(i32),
}

impl Requester {
    /// The client that was let in, or the one at the request's address.
    pub fn of(state: &State, request: &HttpRequest) -> Self {
        let known = request.extensions().get::<Client>().copied();
        let client = known.unwrap_or_else(|| Client::by_address(request, state.settings.limits.trusted_proxies));
        Self::new(state, request, client)
    }

    pub fn new(state: &State, request: &HttpRequest, client: Client) -> Self {
        let actor = match client {
            Client::User(id) => Actor::User(id),
            Client::Token(id) => Actor::Token(id),
            Client::Address(_) => Actor::Anonymous,
        };
        let address = client::address(request, state.settings.limits.trusted_proxies).to_string();
        Self { client, actor, address }
    }

    /// Writes an entry in a change's own transaction.
    pub async fn record(
        &self,
        db: &mut PgConnection,
        action: Action,
        document: Option<i64>,
        detail: &str,
    ) -> sqlx::Result<()> {
        let entry = Entry { actor: &self.actor, action, document, detail, address: Some(&self.address) };
        accounts::record(db, entry).await
    }
}

impl Change {
    fn action(&self) -> Action {
        match self {
            Self::Cancel => Action::CancelDocument,
            Self::Retry => Action::RetryDocument,
            Self::Reprocess(_) => Action::ReprocessDocument,
            Self::Rename(_) => Action::RenameDocument,
            Self::Prioritize(_) => Action::PrioritizeDocument,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Cancel | Self::Retry => String::new(),
            Self::Reprocess(again) => again.to_string(),
            Self::Rename(title) => title.as_str().to_owned(),
            Self::Prioritize(priority) => priority.to_string(),
        }
    }
}

impl State {
    /// Changes a document, and says so in the audit log.
    pub async fn change(&self, by: &Requester, id: i64, change: &Change) -> sqlx::Result<Changed> {
        let mut tx = documents::begin(&self.pool).await?;
        let changed = match change {
            Change::Cancel => documents::cancel(&mut tx, id).await,
            Change::Retry => documents::retry(&mut tx, id).await,
            Change::Reprocess(again) => documents::reprocess(&mut tx, id, again).await,
            Change::Rename(title) => documents::rename(&mut tx, id, title).await,
            Change::Prioritize(priority) => documents::prioritize(&mut tx, id, *priority).await,
        }?;
        if changed == Changed::Yes {
            by.record(&mut tx, change.action(), Some(id), &change.detail()).await?;
            tx.commit().await?;
        }
        Ok(changed)
    }

    /// Deletes a document's rows and jobs. What is to be removed from the bucket now, which a worker does if nobody else; `None` if there is
    /// no such document.
    pub async fn delete_rows(&self, by: &Requester, id: i64) -> sqlx::Result<Option<Vec<String>>> {
        let mut tx = documents::begin(&self.pool).await?;
        let Some(garbage) = documents::delete(&mut tx, id).await? else { return Ok(None) };
        by.record(&mut tx, Action::DeleteDocument, Some(id), "").await?;
        tx.commit().await?;
        Ok(Some(garbage))
    }

    /// Deletes a document. Rows and jobs go at once; objects that cannot be removed now are left for a worker. `false` if there is none.
    pub async fn delete(&self, by: &Requester, id: i64) -> sqlx::Result<bool> {
        let Some(garbage) = self.delete_rows(by, id).await? else { return Ok(false) };
        // While another deletion is at it, ours is left to a worker.
        let Ok(_turn) = self.removals.try_acquire() else { return Ok(true) };
        for prefix in garbage {
            if let Err(error) = remove_garbage(&self.pool, &self.storage, &prefix).await {
                tracing::warn!(prefix, error = format!("{error:#}"), "objects are left for a worker to remove");
            }
        }
        Ok(true)
    }
}
