//! Object keys are taken before the first byte is sent, so two uploads can never write to one object, and an upload that was
//! cut off leaves a trace of what it may have left in the bucket.

use sqlx::PgPool;

/// Takes a key; `false` if it belongs to another document or upload.
pub async fn reserve_key(pool: &PgPool, key: &str) -> sqlx::Result<bool> {
    let taken = sqlx::query!(
        "insert into uploads (object_key)
         select $1 where not exists (select 1 from documents where object_key = $1)
         on conflict do nothing",
        key
    )
    .execute(pool)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Gives up a key whose object has been removed.
pub async fn forget_upload(pool: &PgPool, key: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from uploads where object_key = $1 and document_id is null", key).execute(pool).await?;
    Ok(())
}

/// Whether a document has this object.
pub async fn object_is_taken(pool: &PgPool, key: &str) -> sqlx::Result<bool> {
    let taken =
        sqlx::query_scalar!(r#"select exists (select 1 from documents where object_key = $1) as "taken!""#, key);
    taken.fetch_one(pool).await
}
