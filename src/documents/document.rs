//! Rows of `documents`.

use sqlx::{PgPool, Postgres, Transaction};

use super::Title;

#[derive(Debug)]
pub struct NewDocument<'a> {
    pub title: &'a Title,
    pub object_key: &'a str,
    pub size: u64,
    pub sha256: &'a str,
}

/// Inserts a document, which queues its job in the same transaction (trigger `documents_enqueue`), and marks its upload as done.
pub async fn insert(tx: &mut Transaction<'_, Postgres>, new: &NewDocument<'_>) -> sqlx::Result<i64> {
    let id = sqlx::query_scalar!(
        "insert into documents (title, object_key, size, sha256) values ($1, $2, $3, $4) returning id",
        new.title.as_str(),
        new.object_key,
        new.size as i64,
        new.sha256
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
    pub title: String,
    /// Numbers of the pages that this model has finished already.
    pub finished_pages: Vec<i32>,
}

/// Marks a document as being processed by a model; `None` if it is gone, canceled or finished.
pub async fn claim(pool: &PgPool, id: i64, model_id: i64) -> sqlx::Result<Option<Claim>> {
    let mut tx = pool.begin().await?;
    let row = sqlx::query!(
        "update documents set status = 'processing', started_at = coalesce(started_at, now()), model_id = $2,
             pages_done = (select count(*) from pages where document_id = $1 and model_id = $2)
         where id = $1 and status in ('pending', 'processing')
         returning object_key, title",
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
    Ok(row.map(|row| Claim { object_key: row.object_key, title: row.title, finished_pages }))
}

/// What the worker learned from the file itself.
pub async fn set_page_count(pool: &PgPool, id: i64, pages: u32, size: u64, sha256: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update documents set page_count = $2, size = coalesce(size, $3), sha256 = coalesce(sha256, $4) where id = $1",
        id,
        pages as i32,
        size as i64,
        sha256
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Marks a document as done once all its pages are there. `pending` counts too: a worker that was given up for dead may have
/// released the document while another was at it.
pub async fn finish(pool: &PgPool, id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update documents set status = 'done', finished_at = now() where id = $1 and status in ('pending', 'processing')",
        id
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

/// Marks a document as failed, with a sentence for its owner.
pub async fn fail(pool: &PgPool, id: i64, error: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update documents set status = 'failed', error = $2, finished_at = now()
         where id = $1 and status in ('pending', 'processing')",
        id,
        error
    )
    .execute(pool)
    .await?;
    Ok(())
}
