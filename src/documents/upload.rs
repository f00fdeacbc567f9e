//! Object keys are taken before the first byte is sent, so two uploads can never write to one object, and an upload that was
//! cut off leaves a trace of what it may have left in the bucket.

use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// A key that is taken for an upload.
#[derive(Debug)]
pub struct Upload {
    pub id: Uuid,
    pub object_key: String,
    /// What is no document by then is removed.
    pub expires_at: OffsetDateTime,
}

/// Takes a key; `None` if it belongs to another document or upload, or if what it belonged to is still being removed.
pub async fn reserve_key(pool: &PgPool, key: &str) -> sqlx::Result<Option<Upload>> {
    sqlx::query_as!(
        Upload,
        "insert into uploads (object_key)
         select $1 where not exists (select 1 from documents where object_key = $1)
             and not exists (select 1 from garbage where prefix = $1)
         on conflict do nothing
         returning id, object_key, expires_at",
        key
    )
    .fetch_optional(pool)
    .await
}

/// An upload that is no document yet.
pub async fn open_upload(pool: &PgPool, id: Uuid) -> sqlx::Result<Option<Upload>> {
    sqlx::query_as!(
        Upload,
        "select id, object_key, expires_at from uploads where id = $1 and document_id is null and expires_at > now()",
        id
    )
    .fetch_optional(pool)
    .await
}

/// Gives up a key whose object has been removed.
pub async fn forget_upload(pool: &PgPool, key: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from uploads where object_key = $1 and document_id is null", key).execute(pool).await?;
    Ok(())
}

/// Gives up the keys of uploads that became no document in time; their objects are garbage then.
pub async fn expire_uploads(pool: &PgPool) -> sqlx::Result<u64> {
    let expired = sqlx::query!(
        "with expired as (delete from uploads where document_id is null and expires_at < now() returning object_key)
         insert into garbage (prefix) select object_key from expired on conflict do nothing"
    );
    Ok(expired.execute(pool).await?.rows_affected())
}

/// Whether a document has this object.
pub async fn object_is_taken(pool: &PgPool, key: &str) -> sqlx::Result<bool> {
    let taken =
        sqlx::query_scalar!(r#"select exists (select 1 from documents where object_key = $1) as "taken!""#, key);
    taken.fetch_one(pool).await
}
