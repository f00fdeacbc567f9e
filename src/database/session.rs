//! What is asked of the server for each connection.

use anyhow::{Context, bail};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::{connect, explain};

/// Silence after which a connection is probed, the time between probes, and how many may be lost.
pub(super) const IDLE_SECONDS: u32 = 10;
pub(super) const INTERVAL_SECONDS: u32 = 5;
pub(super) const PROBES: u32 = 3;
/// Bytes that are not acknowledged for so long end a connection.
pub(super) const USER_TIMEOUT_MS: u32 = 25_000;

/// Adds the settings of a session. The server gives a vanished client's locks up after about 25 s, ends transactions in which nothing
/// happens for 30 s, and ends a query within a second of its client's end. No query here is worth compiling.
pub fn settings(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("tcp_keepalives_idle", IDLE_SECONDS),
        ("tcp_keepalives_interval", INTERVAL_SECONDS),
        ("tcp_keepalives_count", PROBES),
        ("tcp_user_timeout", USER_TIMEOUT_MS),
        ("idle_in_transaction_session_timeout", 30_000),
        ("client_connection_check_interval", 1_000),
        ("jit", 0),
    ])
}

/// Whether the server can be reached, and is PostgreSQL itself.
///
/// A pooler in transaction mode gives a session's locks, LISTEN and prepared statements to others; in any mode it keeps what a
/// vanished client holds.
pub async fn check(options: &PgConnectOptions) -> anyhow::Result<()> {
    let place = format!("{}/{}", options.get_host(), options.get_database().unwrap_or_default());
    let connected = connect(options).await;
    let mut connection = connected.map_err(|error| match explain(&error) {
        Some(why) => anyhow::Error::new(error).context(format!("DATABASE_URL ({place}): {why}")),
        None => anyhow::Error::new(error)
            .context(format!("DATABASE_URL: no connection to {place}; is the server up and the password right?")),
    })?;
    let kept: bool = sqlx::query_scalar("select current_setting('idle_in_transaction_session_timeout') = '30s'")
        .fetch_one(&mut connection)
        .await
        .context("DATABASE_URL: the server's settings")?;
    close(connection).await;
    if !kept {
        bail!("DATABASE_URL ({place}) leads to a pooler that drops the settings of sessions; {}", super::away::DIRECT);
    }
    Ok(())
}

async fn close(connection: PgConnection) {
    // It is over either way.
    let _ = connection.close().await;
}
