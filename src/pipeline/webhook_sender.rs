//! Sends the messages that documents' owners asked for.

use sqlx::PgPool;
use time::OffsetDateTime;

use super::error::{JobError, transient};
use crate::documents::{self, Attempted};
use crate::outbound::{Outbound, SigningKey};

pub struct Courier {
    pub pool: PgPool,
    pub outbound: Outbound,
    pub key: SigningKey,
}

impl Courier {
    /// Sends a message, unless it has been delivered or went with its document, and notes how that ended.
    pub async fn deliver(&self, delivery_id: i64, is_last_attempt: bool) -> Result<(), JobError> {
        let message = documents::message(&self.pool, delivery_id).await.map_err(transient)?;
        let Some(message) = message else { return Ok(()) };
        let (id, now) = (format!("msg_{}", message.id), OffsetDateTime::now_utc().unix_timestamp());
        let sent = self.outbound.send_webhook(&message.url, &id, now, &message.body, &self.key).await;
        let attempted = match &sent {
            Ok(status) => Attempted::Delivered(*status),
            Err(e) if e.permanent || is_last_attempt => {
                Attempted::GivenUp { status: e.status, error: e.reason.clone() }
            }
            Err(e) => Attempted::Failed { status: e.status, error: e.reason.clone() },
        };
        documents::record_attempt(&self.pool, delivery_id, &attempted).await.map_err(transient)?;
        sent.map(|_| ()).map_err(|e| match e.permanent {
            true => JobError::Permanent { code: "webhook_refused", message: e.reason },
            false => JobError::External { code: "webhook_failed", message: e.reason },
        })
    }
}
