//! Rows of `documents`.

use sqlx::{PgPool, Postgres, Transaction};

use super::{PageRange, Title};

#[derive(Debug)]
pub struct NewDocument<'a> {
    pub title: &'a Title,
    pub object_key: &'a str,
    pub size: u64,
    pub sha256: &'a str,
    pub options: &'a Options,
}

/// What a client may ask of the processing; by default the worker's settings for all pages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    pub page_range: Option<PageRange>,
    pub score_threshold: Option<f32>,
    pub crop_min_score: Option<f32>,
    /// -100 to 100, higher first.
    pub priority: i32,
    /// The key, and the SHA-256 of what it stands for.
    pub idempotency: Option<(String, String)>,
}

/// Inserts a document, which queues its job in the same transaction (trigger `documents_enqueue`), and marks its upload as done.
pub async fn insert(tx: &mut Transaction<'_, Postgres>, new: &NewDocument<'_>) -> sqlx::Result<i64> {
    let options = new.options;
    let (key, request) = options.idempotency.as_ref().map(|(k, r)| (k.as_str(), r.as_str())).unzip();
    let id = sqlx::query_scalar!(
        "insert into documents (title, object_key, size, sha256, page_range, score_threshold, crop_min_score, priority,
             idempotency_key, request_sha256)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning id",
        new.title.as_str(),
        new.object_key,
        new.size as i64,
        new.sha256,
        options.page_range.as_ref().map(ToString::to_string),
        options.score_threshold,
        options.crop_min_score,
        options.priority,
        key,
        request
    )
    .fetch_one(&mut **tx)
    .await?;
    sqlx::query!("update uploads set document_id = $1 where object_key = $2", id, new.object_key)
        .execute(&mut **tx)
        .await?;
    Ok(id)
}

/// What a list shows.
#[derive(Debug)]
pub struct Listed {
    pub title: String,
    pub object_key: String,
}

/// All documents, oldest first.
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(Listed, "select title, object_key from documents order by id").fetch_all(pool).await
}

/// A document that a worker may start on.
#[derive(Debug)]
pub struct Claim {
    pub object_key: String,
    pub page_range: Option<String>,
    pub score_threshold: Option<f32>,
    pub crop_min_score: Option<f32>,
    /// Numbers of the pages that this model has finished already.
    pub finished_pages: Vec<i32>,
}

/// Marks a document as being processed by a model; `None` if it is gone, canceled or finished.
pub async fn claim(pool: &PgPool, id: i64, model_id: i64) -> sqlx::Result<Option<Claim>> {
    let mut tx = pool.begin().await?;
    // A statement of its own: one that waits for a lock does not see pages that were committed meanwhile.
    sqlx::query!("select id from documents where id = $1 for update", id).fetch_optional(&mut *tx).await?;
    let row = sqlx::query!(
        "update documents set status = 'processing', started_at = coalesce(started_at, now()), model_id = $2,
             pages_done = (select count(*) from pages where document_id = $1 and model_id = $2)
         where id = $1 and status in ('pending', 'processing')
         returning object_key, page_range, score_threshold, crop_min_score",
        id,
        model_id
    )
    .fetch_optional(&mut *tx)
    .await?;
    let finished_pages =
        sqlx::query_scalar!("select number from pages where document_id = $1 and model_id = $2", id, model_id)
            .fetch_all(&mut *tx)
            .await?;
    tx.commit().await?;
    Ok(row.map(|row| Claim {
        object_key: row.object_key,
        page_range: row.page_range,
        score_threshold: row.score_threshold,
        crop_min_score: row.crop_min_score,
        finished_pages,
    }))
}

/// What the worker learned from the file itself.
#[derive(Debug)]
pub struct FileFacts {
    pub pages_in_file: u32,
    /// Pages to process.
    pub page_count: u32,
    pub size: u64,
    pub sha256: String,
}

pub async fn set_file_facts(pool: &PgPool, id: i64, facts: &FileFacts) -> sqlx::Result<()> {
    sqlx::query!(
        "update documents set pages_in_file = $2, page_count = $3, size = coalesce(size, $4), sha256 = coalesce(sha256, $5)
         where id = $1",
        id,
        facts.pages_in_file as i32,
        facts.page_count as i32,
        facts.size as i64,
        facts.sha256
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Marks a document as done once all its pages are there. `pending` counts too: a worker that was given up for dead may have
/// released the document while another was at it.
pub async fn finish(pool: &PgPool, id: i64, model_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update documents set status = 'done', finished_at = now()
         where id = $1 and model_id = $2 and status in ('pending', 'processing') and pages_done = page_count",
        id,
        model_id
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Back to waiting, after a hand-back or before another attempt.
pub async fn release(pool: &PgPool, id: i64) -> sqlx::Result<()> {
    sqlx::query!("update documents set status = 'pending' where id = $1 and status = 'processing'", id)
        .execute(pool)
        .await?;
    Ok(())
}

/// Marks a document as failed, with a code for programs and a sentence for its owner.
pub async fn fail(pool: &PgPool, id: i64, code: &str, error: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update documents set status = 'failed', error_code = $2, error = $3, finished_at = now()
         where id = $1 and status in ('pending', 'processing')",
        id,
        code,
        error
    )
    .execute(pool)
    .await?;
    Ok(())
}
