//! Connections to PostgreSQL that notice when the host at the other end is gone, on both ends, and let go of what they hold.

mod away;
mod listen;
mod session;
mod socket;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool};

use away::explain;
pub use away::{is_away, is_shortage, wait_for};
pub use listen::{listen, listener, next};
pub use session::{check, report, settings};

/// For a connection, from the first packet to the end of the handshake, or for one to be free.
const CONNECT: Duration = Duration::from_secs(5);
/// For an answer that takes the server no work.
const PING: Duration = Duration::from_secs(2);

/// As many connections as are needed, up to `most`; none is opened yet.
///
/// A query that nobody waits for any more, since its client hung up or its time was over, ends with its connection.
pub fn pool(options: PgConnectOptions, most: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(CONNECT)
        .after_connect(|connection, _| Box::pin(async move { arm(connection) }))
        // A round trip for nothing while there is much to do; after a pause the server may be another.
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for > Duration::from_secs(1) {
                    in_time(PING, connection.ping()).await?;
                }
                Ok(true)
            })
        })
        // sqlx waits here without limit for what a query may still answer.
        .after_release(|connection, _| Box::pin(async move { in_time(PING, connection.ping()).await.map(|()| true) }))
        .connect_lazy_with(options)
}

/// A connection outside of all pools.
pub async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let mut connection = in_time(CONNECT, options.connect()).await?;
    arm(&mut connection)?;
    Ok(connection)
}

/// Fails with [`std::io::ErrorKind::TimedOut`] where the database takes longer.
pub async fn in_time<T>(time: Duration, what: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(time, what).await.map_err(|_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))?
}

fn arm(_connection: &mut PgConnection) -> sqlx::Result<()> {
    Ok(socket::arm()?)
}
