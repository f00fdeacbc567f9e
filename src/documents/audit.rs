//! What rows, jobs and objects know of each other.

use std::collections::HashSet;

use sqlx::PgPool;

/// Waiting and running documents that no job will ever end.
pub async fn without_job(pool: &PgPool) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "select d.id from documents d
         where d.status in ('pending', 'processing') and not exists (
             select 1 from document_jobs j where j.document_id = d.id and j.live)
         order by d.id"
    )
    .fetch_all(pool)
    .await
}

/// Ids of jobs that wait or run for documents that are gone, or have ended.
pub async fn jobs_without_document(pool: &PgPool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select j.id as "id!" from document_jobs j
           where j.live and not exists (
               select 1 from documents d where d.id = j.document_id and d.status in ('pending', 'processing'))
           order by j.run_at"#
    )
    .fetch_all(pool)
    .await
}

/// Ids of jobs that have a worker by name, and that none is at.
pub async fn jobs_without_worker(pool: &PgPool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(r#"select id as "id!" from lost_jobs order by lock_at"#).fetch_all(pool).await
}

/// Keys that objects may have, and what belongs to documents below `results/`.
#[derive(Debug)]
pub struct KnownKeys {
    /// Of documents whose file must be in the bucket.
    pub files: HashSet<String>,
    /// Of uploads under way, of files that are still to be fetched, and of garbage.
    pub passing: HashSet<String>,
    /// Of all documents.
    pub documents: HashSet<i64>,
}

pub async fn known_keys(pool: &PgPool) -> sqlx::Result<KnownKeys> {
    let files = sqlx::query_scalar!("select object_key from documents where source_url is null or sha256 is not null");
    let passing = sqlx::query_scalar!(
        r#"select object_key as "key!" from uploads where document_id is null
           union select object_key from documents where source_url is not null and sha256 is null
           union select prefix from garbage"#
    );
    let documents = sqlx::query_scalar!("select id from documents");
    Ok(KnownKeys {
        files: files.fetch_all(pool).await?.into_iter().collect(),
        passing: passing.fetch_all(pool).await?.into_iter().collect(),
        documents: documents.fetch_all(pool).await?.into_iter().collect(),
    })
}
