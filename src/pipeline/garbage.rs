//! Objects of deleted documents.

use std::time::{Duration, Instant};

use sqlx::PgPool;

use crate::documents;
use crate::storage::{ObjectKey, Storage};

/// Garbage is taken for this time, and nothing is removed after the most of it: its key may be somebody else's after that.
const TAKEN: Duration = Duration::from_secs(300);
const REMOVING: Duration = Duration::from_secs(240);

/// Removes an object, or all below a prefix that ends in a slash, and then the note of it; what takes too long is left for later.
pub async fn remove_garbage(pool: &PgPool, storage: &Storage, prefix: &str) -> anyhow::Result<()> {
    let started = Instant::now();
    if !documents::take_garbage(pool, prefix, TAKEN.as_secs_f64()).await? {
        return Ok(());
    }
    let keys = if prefix.ends_with('/') { storage.list(prefix).await? } else { vec![prefix.to_owned()] };
    for key in keys {
        if started.elapsed() > REMOVING {
            return Ok(());
        }
        storage.delete(&ObjectKey::parse(key)?).await?;
    }
    Ok(documents::forget_garbage(pool, prefix).await?)
}

/// Removes what earlier deletions had to leave, and uploads that became no document.
pub async fn sweep(pool: &PgPool, storage: &Storage) -> anyhow::Result<()> {
    documents::expire_uploads(pool).await?;
    for prefix in documents::garbage(pool).await? {
        remove_garbage(pool, storage, &prefix).await?;
    }
    Ok(())
}
