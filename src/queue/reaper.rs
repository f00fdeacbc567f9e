//! Gives the jobs of dead workers back to the queue.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::interval;
use crate::database::in_time;

const REAP_INTERVAL: Duration = Duration::from_millis(500);
/// A worker whose lock is gone has this long to come back; after a time in which nobody could look, longer (`reap_workers`).
const GRACE: Duration = Duration::from_millis(1500);
/// For a look. One that takes longer ends with its connection.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// Looks for dead workers until it is stopped; `silence` is how long one may hold its lock and say nothing.
pub(super) async fn reap(pool: &PgPool, silence: Duration, stop: &CancellationToken) {
    while tokio::time::timeout(REAP_INTERVAL, stop.cancelled()).await.is_err() {
        match look(pool, silence).await {
            Ok(dead) if dead.is_empty() => {}
            Ok(dead) => tracing::warn!(workers = ?dead, "dead workers' documents are queued again"),
            // The worker loop tells of a database that is away.
            Err(error) => tracing::debug!(%error, "no look for dead workers"),
        }
    }
}

async fn look(pool: &PgPool, silence: Duration) -> sqlx::Result<Vec<i32>> {
    let dead = sqlx::query_scalar!(r#"select reap_workers($1, $2) as "id!""#, interval(GRACE), interval(silence));
    in_time(LONGEST_LOOK, dead.fetch_all(pool)).await
}
