//! Transactions whose beginning is given up, as when a client hangs up.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::database;

/// Whether another connection keeps a transaction open in which nothing happens.
pub async fn is_left_open(observer: &PgPool) -> bool {
    let open = "select exists (select 1 from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in transaction%')";
    let started = Instant::now();
    while sqlx::query_scalar(open).fetch_one(observer).await.unwrap() {
        if started.elapsed() > Duration::from_secs(2) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// Two pools of one connection each to a new database: one to be tested, one that observes it.
pub async fn pools() -> (PgPool, PgPool) {
    let url = database().await;
    let one = || PgPoolOptions::new().max_connections(1);
    (one().connect(&url).await.unwrap(), one().connect(&url).await.unwrap())
}

/// Polls a future so often, with time for the server to answer, and drops it.
pub async fn give_up_after<F: Future>(polls: usize, future: F) {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
