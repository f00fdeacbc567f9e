use sqlx::{PgPool, Postgres, Transaction};

/// Begins a transaction, also if nobody waits for it any more, which then rolls it back. (sqlx 0.9 forgets one whose beginning was cancelled, as
/// by a client that hangs up: its connection would go back to the pool with the transaction open, and swallow what others do on it.)
pub async fn begin(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin().await });
    begun.await.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?
}
