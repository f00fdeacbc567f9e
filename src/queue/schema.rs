//! The database's schema: apalis' own, the migrations with tables and indexes, and the files with functions, triggers and views.
//!
//! A migration is applied once; those files as a whole, whenever one of them or a migration has changed. A change that
//! `create or replace` refuses, such as another return type, needs a `drop … if exists` before it in its file.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use apalis_postgres::PostgresStorage;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use sqlx::migrate::Migrator;

use crate::documents;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// In the order in which they are applied, after the documents' own: that of their names, as in scripts/with-postgres.sh.
const FILES: [(&str, &str); 6] = [
    ("admin.sql", include_str!("sql/admin.sql")),
    ("definitions.sql", include_str!("sql/definitions.sql")),
    ("enqueue.sql", include_str!("sql/enqueue.sql")),
    ("job_triggers.sql", include_str!("sql/job_triggers.sql")),
    ("views.sql", include_str!("sql/views.sql")),
    ("workers.sql", include_str!("sql/workers.sql")),
];

/// Beyond the second after which PostgreSQL looks for deadlocks, and asks an autovacuum to make way: it is always we who give up.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '1500ms'";
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// For all attempts to get the locks.
const PATIENCE: Duration = Duration::from_secs(60);

/// Creates apalis' schema, then ours, which refers to it. Servers and workers may run meanwhile.
pub async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    PostgresStorage::setup(pool)
        .await
        .context("the queue's schema (extensions pgcrypto and hstore must be allowed)")?;
    MIGRATIONS.run(pool).await.context("docreader's schema")?;
    let digest = digest();
    if is_current(pool, &digest).await? {
        return Ok(());
    }
    let started = Instant::now();
    while let Err(error) = apply(pool, &digest).await {
        if !is_contention(&error) || started.elapsed() > PATIENCE {
            return Err(error).context("docreader's functions, triggers and views");
        }
        tracing::debug!(%error, "the tables are in use; trying again");
        tokio::time::sleep(RETRY_DELAY).await;
    }
    Ok(())
}

/// Fails unless `app migrate` of this version has been there. The schema of a later version will do: processes of both run side by side
/// during an upgrade.
pub async fn check_schema(pool: &PgPool) -> anyhow::Result<()> {
    let (documents, applied): (bool, bool) =
        sqlx::query_as("select to_regclass('documents') is not null, to_regclass('applied_sql') is not null")
            .fetch_one(pool)
            .await?;
    if !documents {
        bail!("the database has no schema yet; run `app migrate` first");
    }
    let known = applied
        && sqlx::query_scalar!(r#"select exists (select 1 from applied_sql where sha256 = $1) as "known!""#, digest())
            .fetch_one(pool)
            .await?;
    if !known {
        bail!("the database's schema is older than this program; run `app migrate` first");
    }
    Ok(())
}

async fn is_current(executor: impl sqlx::PgExecutor<'_>, digest: &str) -> sqlx::Result<bool> {
    let last = sqlx::query_scalar!("select sha256 from applied_sql order by applied_at desc limit 1");
    Ok(last.fetch_optional(executor).await?.is_some_and(|last| last == digest))
}

/// One transaction, so that nobody sees half of it, and one at a time. All locks are taken before anything is changed.
async fn apply(pool: &PgPool, digest: &str) -> sqlx::Result<()> {
    let mut tx = documents::begin(pool).await?;
    sqlx::raw_sql(LOCK_TIMEOUT).execute(&mut *tx).await?;
    sqlx::raw_sql("lock table applied_sql in share row exclusive mode").execute(&mut *tx).await?;
    if is_current(&mut *tx, digest).await? {
        return Ok(());
    }
    // As strong as `create trigger` needs.
    sqlx::raw_sql("lock table apalis.jobs, documents, webhook_deliveries in share row exclusive mode")
        .execute(&mut *tx)
        .await?;
    for (_, text) in documents::SQL_FILES.into_iter().chain(FILES) {
        sqlx::raw_sql(text).execute(&mut *tx).await?;
    }
    sqlx::query!(
        "insert into applied_sql (sha256) values ($1) on conflict (sha256) do update set applied_at = excluded.applied_at",
        digest
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Lock timeouts and deadlocks.
fn is_contention(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "55P03" | "40P01"))
}

/// Of the migrations and the files.
fn digest() -> String {
    let mut hash = Sha256::new();
    for migration in MIGRATIONS.iter() {
        hash.update(&migration.checksum);
    }
    for (_, text) in documents::SQL_FILES.into_iter().chain(FILES) {
        hash.update(text);
        hash.update([0]);
    }
    format!("{:x}", hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_applied_in_the_order_of_their_names() {
        for (folder, files) in [("src/documents/sql", &documents::SQL_FILES[..]), ("src/queue/sql", &FILES[..])] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let mut names: Vec<_> =
                folder.read_dir().unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            assert_eq!(files.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
        }
    }
}
