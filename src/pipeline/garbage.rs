//! Objects of deleted documents.

use sqlx::PgPool;

use crate::documents;
use crate::storage::{ObjectKey, Storage};

/// Removes an object, or all below a prefix that ends in a slash, and then the note of it.
pub async fn remove_garbage(pool: &PgPool, storage: &Storage, prefix: &str) -> anyhow::Result<()> {
    let mut tx = documents::begin(pool).await?;
    if !documents::take_garbage(&mut tx, prefix).await? {
        return Ok(());
    }
    let keys = if prefix.ends_with('/') { storage.list(prefix).await? } else { vec![prefix.to_owned()] };
    for key in keys {
        storage.delete(&ObjectKey::parse(key)?).await?;
    }
    Ok(tx.commit().await?)
}

/// Removes what earlier deletions had to leave, and uploads that became no document.
pub async fn sweep(pool: &PgPool, storage: &Storage) -> anyhow::Result<()> {
    documents::expire_uploads(pool).await?;
    for prefix in documents::garbage(pool).await? {
        remove_garbage(pool, storage, &prefix).await?;
    }
    Ok(())
}
