//! Objects of deleted documents.

use sqlx::PgPool;

use crate::documents;
use crate::storage::{ObjectKey, Storage};

/// Removes an object, or all below a prefix that ends in a slash, and then the note of it.
pub async fn remove_garbage(pool: &PgPool, storage: &Storage, prefix: &str) -> anyhow::Result<()> {
    let keys = if prefix.ends_with('/') { storage.list(prefix).await? } else { vec![prefix.to_owned()] };
    for key in keys {
        storage.delete(&ObjectKey::parse(key)?).await?;
    }
    Ok(documents::garbage_removed(pool, prefix).await?)
}

/// Removes what earlier deletions had to leave.
pub async fn sweep(pool: &PgPool, storage: &Storage) -> anyhow::Result<()> {
    for prefix in documents::garbage(pool).await? {
        remove_garbage(pool, storage, &prefix).await?;
    }
    Ok(())
}
