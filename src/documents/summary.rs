//! What lists show of documents beside their rows, and of those that are being processed.

use sqlx::PgPool;

use super::Status;

/// Regions are counted up to one more than these, so that no list takes long.
pub const MOST_REGIONS: i64 = 20_000;

/// The results that readers see, in short.
#[derive(Debug)]
pub struct Summary {
    pub document_id: i64,
    /// Of the first page that is done.
    pub thumbnail_key: Option<String>,
    /// On all pages; more than [`MOST_REGIONS`] are not counted.
    pub regions: i64,
}

pub async fn summaries(pool: &PgPool, documents: &[i64]) -> sqlx::Result<Vec<Summary>> {
    sqlx::query_as!(
        Summary,
        r#"select s.document_id as "document_id!",
               (select p.thumbnail_key from pages p
                where p.document_id = s.document_id and p.run = s.run and p.model_id = s.model_id order by p.number limit 1) as thumbnail_key,
               (select count(*) from (
                   select 1 from pages p join detections x on x.page_id = p.id
                   where p.document_id = s.document_id and p.run = s.run and p.model_id = s.model_id limit $2::bigint + 1
               ) counted) as "regions!"
           from shown_results s where s.document_id = any($1)"#,
        documents,
        MOST_REGIONS
    )
    .fetch_all(pool)
    .await
}

/// How far a document is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    pub id: i64,
    pub status: Status,
    pub pages_done: i32,
    pub pages_failed: i32,
    /// `None` before they are counted.
    pub page_count: Option<i32>,
}

/// Of those of the documents that there are.
pub async fn progress(pool: &PgPool, documents: &[i64]) -> sqlx::Result<Vec<Progress>> {
    sqlx::query_as!(
        Progress,
        r#"select id, status as "status: Status", pages_done, pages_failed, page_count from documents where id = any($1) order by id"#,
        documents
    )
    .fetch_all(pool)
    .await
}
