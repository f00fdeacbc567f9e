//! Messages to callback URLs. Triggers write them, and their jobs, when a document ends.

use sqlx::PgPool;
use time::OffsetDateTime;

/// A message that is to be sent.
#[derive(Debug)]
pub struct Message {
    pub id: i64,
    pub url: String,
    pub body: String,
}

/// How an attempt to send a message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempted {
    /// With the receiver's status.
    Delivered(u16),
    /// There will be another attempt.
    Failed { status: Option<u16>, error: String },
    /// There will be none.
    GivenUp { status: Option<u16>, error: String },
}

/// A message as readers see it.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Delivery {
    pub id: i64,
    pub url: String,
    /// pending, delivered, failed
    #[schema(pattern = "^(pending|delivered|failed)$")]
    pub status: String,
    pub attempts: i32,
    /// HTTP status of the last answer.
    pub response_status: Option<i32>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub attempted_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// The message, unless it has been delivered, given up, or went with its document.
pub async fn message(pool: &PgPool, id: i64) -> sqlx::Result<Option<Message>> {
    sqlx::query_as!(Message, "select id, url, body from webhook_deliveries where id = $1 and status = 'pending'", id)
        .fetch_optional(pool)
        .await
}

pub async fn record_attempt(pool: &PgPool, id: i64, attempted: &Attempted) -> sqlx::Result<()> {
    let (status, response, error) = match attempted {
        Attempted::Delivered(response) => ("delivered", Some(*response), None),
        Attempted::Failed { status, error } => ("pending", *status, Some(error)),
        Attempted::GivenUp { status, error } => ("failed", *status, Some(error)),
    };
    sqlx::query!(
        "update webhook_deliveries
         set status = $2, attempts = attempts + 1, response_status = $3, error = $4, attempted_at = now()
         where id = $1 and status = 'pending'",
        id,
        status,
        response.map(i32::from),
        error
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A document's messages, oldest first.
pub async fn deliveries(pool: &PgPool, document_id: i64) -> sqlx::Result<Vec<Delivery>> {
    sqlx::query_as!(
        Delivery,
        "select id, url, status, attempts, response_status, error, attempted_at, created_at
         from webhook_deliveries where document_id = $1 order by id limit 1000",
        document_id
    )
    .fetch_all(pool)
    .await
}
