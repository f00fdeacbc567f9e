//! What documents, jobs, workers and objects know of each other.

use sqlx::PgPool;

use crate::pipeline::{self, Finding};
use crate::storage::Storage;

/// Looks for documents, jobs and objects that belong to nothing; finds none in a sound system. What comes and goes meanwhile may be
/// named by mistake: look twice.
pub async fn audit(pool: &PgPool, storage: &Storage) -> anyhow::Result<Vec<Finding>> {
    let mut findings = vec![];
    let mut add = |kind, what: String, remedy| findings.push(Finding { kind, what, remedy });
    for id in documents_without_job(pool).await? {
        add("document without job", id.to_string(), "set its status to 'canceled', then to 'pending'");
    }
    for id in jobs_without_document(pool).await? {
        add("job without document", id, "none: it ends by itself when a worker takes it");
    }
    for id in jobs_without_worker(pool).await? {
        add("job without worker", id, "none while a worker is up: it gives the job back within seconds");
    }
    findings.extend(pipeline::audit_objects(pool, storage).await?);
    Ok(findings)
}

/// Waiting and running documents that no job will ever end.
async fn documents_without_job(pool: &PgPool) -> sqlx::Result<Vec<i64>> {
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
async fn jobs_without_document(pool: &PgPool) -> sqlx::Result<Vec<String>> {
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
async fn jobs_without_worker(pool: &PgPool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(r#"select id as "id!" from lost_jobs order by lock_at"#).fetch_all(pool).await
}
