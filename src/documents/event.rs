use sqlx::PgPool;
use time::OffsetDateTime;

/// The channel on which the id of a document with a new event is announced.
pub const CHANNEL: &str = "docreader_events";

/// Something that happened to a document.
#[derive(Debug)]
pub struct Event {
    pub id: i64,
    pub kind: String,
    pub data: serde_json::Value,
    pub created_at: OffsetDateTime,
}

impl Event {
    /// Nothing follows until the document is queued again.
    pub fn is_last(&self) -> bool {
        matches!(self.kind.as_str(), "done" | "failed" | "canceled")
    }
}

/// Up to `limit` events of a document after one that is known, in order.
pub async fn events_after(pool: &PgPool, document_id: i64, after: i64, limit: i64) -> sqlx::Result<Vec<Event>> {
    sqlx::query_as!(
        Event,
        "select id, kind, data, created_at from document_events where document_id = $1 and id > $2 order by id limit $3",
        document_id,
        after,
        limit
    )
    .fetch_all(pool)
    .await
}
