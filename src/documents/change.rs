//! What readers may do to a document: cancel it, queue it again, delete it. Triggers keep the queue in step.

use sqlx::{PgPool, Postgres, Transaction};

use super::Status;

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    Yes,
    NoSuchDocument,
    /// Its status does not allow it.
    Refused(Status),
}

/// Takes a waiting document out of the queue, or stops a running one at its next page.
pub async fn cancel(pool: &PgPool, id: i64) -> sqlx::Result<Changed> {
    let update = sqlx::query!(
        "update documents set status = 'canceled' where id = $1 and status in ('pending', 'processing')",
        id
    );
    outcome(pool, id, update.execute(pool).await?.rows_affected()).await
}

/// Queues a failed or canceled document again; pages that are finished stay.
pub async fn retry(pool: &PgPool, id: i64) -> sqlx::Result<Changed> {
    let update =
        sqlx::query!("update documents set status = 'pending' where id = $1 and status in ('failed', 'canceled')", id);
    outcome(pool, id, update.execute(pool).await?.rows_affected()).await
}

/// Queues a finished document again, without the results of the model that it had; those of earlier models stay.
pub async fn reprocess(pool: &PgPool, id: i64) -> sqlx::Result<Changed> {
    let mut tx = super::begin(pool).await?;
    let update = sqlx::query!(
        "update documents set status = 'pending', pages_done = 0
         where id = $1 and status in ('done', 'failed', 'canceled')",
        id
    );
    let changed = update.execute(&mut *tx).await?.rows_affected();
    if changed > 0 {
        sqlx::query!(
            "delete from pages using documents d where d.id = $1 and document_id = d.id and pages.model_id = d.model_id",
            id
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    outcome(pool, id, changed).await
}

/// Deletes a document with its rows and its waiting jobs, and notes its objects in table `garbage`. The keys or prefixes that
/// are now to be removed from the bucket; `None` if there is no such document.
pub async fn delete(pool: &PgPool, id: i64) -> sqlx::Result<Option<Vec<String>>> {
    let mut tx = super::begin(pool).await?;
    sqlx::query!(
        "delete from apalis.jobs
         where job_type like 'documents%' and status <> 'Running' and status <> 'Queued' and job_document(job) = $1",
        id
    )
    .execute(&mut *tx)
    .await?;
    let key = sqlx::query_scalar!("delete from documents where id = $1 returning object_key", id)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(key) = key else { return Ok(None) };
    let garbage = vec![key, format!("results/{id}/")];
    sqlx::query!("insert into garbage (prefix) select unnest($1::text[]) on conflict do nothing", &garbage)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Some(garbage))
}

/// Objects that are still to be removed, from documents deleted more than a minute ago.
pub async fn garbage(pool: &PgPool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("select prefix from garbage where since < now() - interval '1 minute' order by since limit 100")
        .fetch_all(pool)
        .await
}

/// Takes garbage to remove its objects, after which the transaction is to be committed; `false` if they are gone already or another is
/// at it. Until then its key belongs to nobody.
pub async fn take_garbage(tx: &mut Transaction<'_, Postgres>, prefix: &str) -> sqlx::Result<bool> {
    let taken = sqlx::query!(
        "delete from garbage where prefix in (select prefix from garbage where prefix = $1 for update skip locked)",
        prefix
    );
    Ok(taken.execute(&mut **tx).await?.rows_affected() == 1)
}

async fn outcome(pool: &PgPool, id: i64, changed: u64) -> sqlx::Result<Changed> {
    if changed > 0 {
        return Ok(Changed::Yes);
    }
    let status = sqlx::query_scalar!(r#"select status as "status: Status" from documents where id = $1"#, id);
    Ok(status.fetch_optional(pool).await?.map_or(Changed::NoSuchDocument, Changed::Refused))
}
