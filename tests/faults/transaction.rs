//! A transaction whose beginning is given up, as when a client hangs up.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use docreader::documents;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::common::database;

/// Whether another connection has a transaction open in which nothing happens.
async fn is_left_open(observer: &PgPool) -> bool {
    tokio::time::sleep(Duration::from_millis(50)).await;
    let open = "select exists (select 1 from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in transaction%')";
    sqlx::query_scalar(open).fetch_one(observer).await.unwrap()
}

#[tokio::test]
async fn one_that_nobody_waits_for_is_rolled_back() {
    let url = database().await;
    let one = || PgPoolOptions::new().max_connections(1);
    let (pool, observer) = (one().connect(&url).await.unwrap(), one().connect(&url).await.unwrap());
    for polls in 1..=8 {
        give_up_after(polls, documents::begin(&pool)).await;
        assert!(!is_left_open(&observer).await, "given up after {polls} polls");
    }
    // sqlx by itself; should this fail one day, `documents::begin` may go.
    // On a busy machine it takes some tries to give up at that moment.
    for polls in (1..=8).cycle().take(400) {
        give_up_after(polls, pool.begin()).await;
        if is_left_open(&observer).await {
            return;
        }
    }
    panic!("mended?");
}

/// Polls a future so often, with time for the server to answer, and drops it.
async fn give_up_after<F: Future>(polls: usize, future: F) {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
