//! What readers may do to a document: cancel it, queue it again, delete it. Triggers keep the queue in step.

use std::fmt;

use sqlx::{PgConnection, PgPool};

use super::{PageRange, Status, Title};

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    Yes,
    NoSuchDocument,
    /// Its status does not allow it.
    Refused(Status),
}

/// Takes a waiting document out of the queue, or stops a running one at its next page.
pub async fn cancel(db: &mut PgConnection, id: i64) -> sqlx::Result<Changed> {
    let update = sqlx::query!(
        "update documents set status = 'canceled' where id = $1 and status in ('pending', 'processing')",
        id
    );
    let changed = update.execute(&mut *db).await?.rows_affected();
    outcome(db, id, changed).await
}

/// Queues a failed or canceled document again, or one with failed pages; pages that have succeeded stay.
pub async fn retry(db: &mut PgConnection, id: i64) -> sqlx::Result<Changed> {
    let update = sqlx::query!(
        "update documents set status = 'pending'
         where id = $1 and (status in ('failed', 'canceled') or (status = 'done' and pages_failed > 0))",
        id
    );
    let changed = update.execute(&mut *db).await?.rows_affected();
    outcome(db, id, changed).await
}

/// What is to be different in a new run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Again {
    pub page_range: Option<PageRange>,
    pub score_threshold: Option<f32>,
    pub crop_min_score: Option<f32>,
    pub priority: Option<i32>,
    pub model: Option<String>,
    /// What is not named is as it is for new documents, not as it was.
    pub anew: bool,
}

impl fmt::Display for Again {
    /// What is to be different, such as `pages 1-3, model small`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &dyn fmt::Display| value.to_string();
        let parts = [
            ("pages", self.page_range.as_ref().map(|x| text(x))),
            ("score threshold", self.score_threshold.as_ref().map(|x| text(x))),
            ("crops from score", self.crop_min_score.as_ref().map(|x| text(x))),
            ("priority", self.priority.as_ref().map(|x| text(x))),
            ("model", self.model.clone()),
        ];
        let named = parts.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
        f.write_str(&named.collect::<Vec<_>>().join(", "))
    }
}

/// Queues a finished document again, from the start. Its results stay until the new ones are complete.
pub async fn reprocess(db: &mut PgConnection, id: i64, again: &Again) -> sqlx::Result<Changed> {
    let update = sqlx::query!(
        "update documents set status = 'pending', pages_done = 0, pages_failed = 0,
             page_range = coalesce($2, case when not $7 then page_range end),
             score_threshold = coalesce($3, case when not $7 then score_threshold end),
             crop_min_score = coalesce($4, case when not $7 then crop_min_score end),
             priority = coalesce($5, case when $7 then 0 else priority end),
             wanted_model = coalesce($6, case when not $7 then wanted_model end)
         where id = $1 and status in ('done', 'failed', 'canceled')",
        id,
        again.page_range.as_ref().map(ToString::to_string),
        again.score_threshold,
        again.crop_min_score,
        again.priority,
        again.model,
        again.anew
    );
    let changed = update.execute(&mut *db).await?.rows_affected();
    outcome(db, id, changed).await
}

/// Gives a document another title.
pub async fn rename(db: &mut PgConnection, id: i64, title: &Title) -> sqlx::Result<Changed> {
    let update = sqlx::query!("update documents set title = $2 where id = $1", id, title.as_str());
    let changed = update.execute(&mut *db).await?.rows_affected();
    outcome(db, id, changed).await
}

/// Gives a waiting or running document another priority, and with it its jobs that wait.
pub async fn prioritize(db: &mut PgConnection, id: i64, priority: i32) -> sqlx::Result<Changed> {
    // Jobs are locked before their document, as by workers.
    sqlx::query!("select prioritize_jobs($1, $2)", id, priority).execute(&mut *db).await?;
    let update = sqlx::query!(
        "update documents set priority = $2 where id = $1 and status in ('pending', 'processing')",
        id,
        priority
    );
    let changed = update.execute(&mut *db).await?.rows_affected();
    outcome(db, id, changed).await
}

/// To be called in a transaction. Deletes a document with its rows and its waiting jobs, and notes its objects in table `garbage`. The keys or prefixes that
/// are now to be removed from the bucket; `None` if there is no such document.
pub async fn delete(db: &mut PgConnection, id: i64) -> sqlx::Result<Option<Vec<String>>> {
    sqlx::query!("select forget_jobs($1)", id).execute(&mut *db).await?;
    let key = sqlx::query_scalar!("delete from documents where id = $1 returning object_key", id)
        .fetch_optional(&mut *db)
        .await?;
    let Some(key) = key else { return Ok(None) };
    let garbage = vec![key, format!("results/{id}/")];
    sqlx::query!("insert into garbage (prefix) select unnest($1::text[]) on conflict do nothing", &garbage)
        .execute(db)
        .await?;
    Ok(Some(garbage))
}

/// Objects that are still to be removed, from documents deleted more than a minute ago.
pub async fn garbage(pool: &PgPool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select prefix from garbage where since < now() - interval '1 minute' and taken_until < now() order by since limit 100"
    )
    .fetch_all(pool)
    .await
}

/// Takes garbage for some seconds, to remove its objects and then [`forget_garbage`]; `false` if they are gone already or another is at
/// it. Until then its key belongs to nobody.
pub async fn take_garbage(pool: &PgPool, prefix: &str, seconds: f64) -> sqlx::Result<bool> {
    let taken = sqlx::query!(
        "update garbage set taken_until = now() + make_interval(secs => $2) where prefix = $1 and taken_until < now()",
        prefix,
        seconds
    );
    Ok(taken.execute(pool).await?.rows_affected() == 1)
}

/// Its objects have been removed.
pub async fn forget_garbage(pool: &PgPool, prefix: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from garbage where prefix = $1", prefix).execute(pool).await.map(drop)
}

async fn outcome(db: &mut PgConnection, id: i64, changed: u64) -> sqlx::Result<Changed> {
    if changed > 0 {
        return Ok(Changed::Yes);
    }
    let status = sqlx::query_scalar!(r#"select status as "status: Status" from documents where id = $1"#, id);
    Ok(status.fetch_optional(db).await?.map_or(Changed::NoSuchDocument, Changed::Refused))
}
