//! Documents as readers see them.

use sqlx::PgPool;
use time::OffsetDateTime;

use super::Status;

/// A document with all that is known of it.
#[derive(Debug, sqlx::FromRow)]
pub struct DocumentRow {
    pub id: i64,
    pub title: String,
    pub object_key: String,
    pub size: Option<i64>,
    pub sha256: Option<String>,
    pub source_url: Option<String>,
    pub callback_url: Option<String>,
    pub wanted_model: Option<String>,
    #[sqlx(try_from = "String")]
    pub status: Status,
    pub page_range: Option<String>,
    pub pages_in_file: Option<i32>,
    pub page_count: Option<i32>,
    pub pages_done: i32,
    pub pages_failed: i32,
    pub shown_run: Option<i32>,
    pub pages_run: i32,
    pub error: Option<String>,
    pub error_code: Option<String>,
    pub priority: i32,
    pub run: i32,
    pub score_threshold: Option<f32>,
    pub crop_min_score: Option<f32>,
    pub model_name: Option<String>,
    pub model_sha256: Option<String>,
    pub request_sha256: Option<String>,
    pub created_at: OffsetDateTime,
    /// Last.
    pub queued_at: Option<OffsetDateTime>,
    pub started_at: Option<OffsetDateTime>,
    pub finished_at: Option<OffsetDateTime>,
}

pub async fn get(pool: &PgPool, id: i64) -> sqlx::Result<Option<DocumentRow>> {
    sqlx::query_as!(
        DocumentRow,
        r#"select d.id, d.title, d.object_key, d.size, d.sha256, d.source_url, d.callback_url, d.wanted_model, d.status as "status: Status", d.page_range, d.pages_in_file,
               d.page_count, d.pages_done, d.pages_failed, d.shown_run, d.pages_run, d.error, d.error_code, d.priority, d.run, d.score_threshold, d.crop_min_score,
               m.name as "model_name?", m.sha256 as "model_sha256?", d.request_sha256, d.created_at, d.queued_at, d.started_at, d.finished_at
           from documents d left join models m on m.id = d.model_id
           where d.id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await
}

/// The id of the document that an idempotency key stands for.
pub async fn by_idempotency_key(pool: &PgPool, key: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("select id from documents where idempotency_key = $1", key).fetch_optional(pool).await
}

/// Whether so many documents wait.
pub async fn waiting_reach(pool: &PgPool, number: u32) -> sqlx::Result<bool> {
    let skip = i64::from(number.max(1)) - 1;
    let last = sqlx::query!("select 1 as one from documents where status = 'pending' offset $1 limit 1", skip);
    Ok(last.fetch_optional(pool).await?.is_some())
}
