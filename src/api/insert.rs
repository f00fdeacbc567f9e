//! What becomes of an upload: its turn, its key, its row, or its removal.

use std::time::Duration;

use actix_web::HttpRequest;

use super::admission::{Busy, UploadPermit};
use super::auth::hold;
use super::client::Client;
use super::form::{FileField, Form};
use super::receive::IntakeError;
use super::requester::Requester;
use super::{ANSWER, State};
use crate::accounts::Action;
use crate::database::in_time;
use crate::documents::{self, FileName, NewDocument, Upload};
use crate::storage::ObjectKey;

/// For a turn.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

impl State {
    /// Waits for an upload's turn, with its body unread, unless there is too much to do.
    pub async fn turn(&self, request: &HttpRequest, client: Client) -> Result<UploadPermit, IntakeError> {
        let _hold = hold(request);
        self.check_queue().await?;
        // Whoever hung up is not noticed while his body is not read, and shall not keep his place for ever.
        let turn = tokio::time::timeout(LONGEST_WAIT, self.uploads.turn(client)).await.unwrap_or(Err(Busy::Server));
        turn.map_err(|busy| match busy {
            Busy::Server => IntakeError::Busy,
            Busy::Client => IntakeError::ClientBusy,
        })
    }

    /// Refuses more documents while too many wait.
    pub async fn check_queue(&self) -> Result<(), IntakeError> {
        match self.settings.limits.queue {
            Some(limit) if in_time(ANSWER, documents::waiting_reach(&self.pool, limit.get())).await? => {
                Err(IntakeError::QueueFull { limit: limit.get() })
            }
            _ => Ok(()),
        }
    }

    /// Takes the name's key below `media/`, or one with a random suffix if that is taken.
    pub async fn reserve(&self, name: &FileName) -> Result<(ObjectKey, Upload), IntakeError> {
        let mut candidate = name.clone();
        loop {
            let key = ObjectKey::parse(format!("media/{}", candidate.as_str()))?;
            if let Some(upload) = in_time(ANSWER, documents::reserve_key(&self.pool, key.as_str())).await? {
                return Ok((key, upload));
            }
            candidate = name.alternative();
        }
    }

    /// Takes a key below `media/` with a random suffix: for objects that may still be written when their document is gone, so that
    /// nobody else's is there then.
    pub async fn reserve_apart(&self, name: &FileName) -> Result<(ObjectKey, Upload), IntakeError> {
        self.reserve(&name.alternative()).await
    }

    /// Writes a row, its job and the entry in the audit log, in one transaction; the document's id.
    pub async fn insert(&self, by: &Requester, new: &NewDocument<'_>) -> Result<i64, IntakeError> {
        let written = async {
            let mut tx = documents::begin(&self.pool).await?;
            let id = documents::insert(&mut tx, new).await?;
            if id.is_some() {
                by.record(&mut tx, Action::CreateDocument, id, "").await?;
            }
            tx.commit().await?;
            Ok(id)
        };
        let id = in_time(ANSWER, written).await?.ok_or(IntakeError::Expired)?;
        tracing::info!(document = id, key = new.object_key, "uploaded");
        Ok(id)
    }

    /// The same for a form. After an error, what the form has stored is discarded, unless the commit may have been done although its
    /// answer was lost: then the object stays, and so does its trace.
    pub async fn insert_form(
        &self,
        by: &Requester,
        form: &mut Form,
        new: &NewDocument<'_>,
    ) -> Result<i64, IntakeError> {
        let inserted = self.insert(by, new).await;
        if inserted.is_err() {
            match in_time(ANSWER, documents::object_is_taken(&self.pool, new.object_key)).await {
                Ok(false) => self.discard(form).await,
                _ => form.file = FileField::Missing,
            }
        }
        inserted
    }

    /// Removes what a form has stored so far.
    pub async fn discard(&self, form: &mut Form) {
        if let Some(key) = form.stored() {
            self.remove(key).await;
            form.file = FileField::Missing;
        }
    }

    /// Removes an object and gives up its key. If S3 or the database fails, the row in `uploads` keeps the trace.
    pub async fn remove(&self, key: &ObjectKey) {
        let removed = async {
            self.storage.delete(key).await?;
            in_time(ANSWER, documents::forget_upload(&self.pool, key.as_str())).await?;
            Ok::<_, IntakeError>(())
        };
        if let Err(error) = removed.await {
            tracing::error!(key = key.as_str(), %error, "an object without a document could not be removed; its key stays in table uploads");
        }
    }
}
