//! What is asked of the server for each connection.

use anyhow::{Context, bail};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

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
    // A migration may take minutes, and its text is long.
    let quiet = match "debug".parse() {
        Ok(level) => options.log_slow_statements(level, std::time::Duration::from_secs(1)),
        Err(_) => options,
    };
    quiet.options([
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

/// Says how many connections a process may have, what for, and how many the database lets in.
pub async fn report(pool: &PgPool, uses: &[(u32, &str)]) -> sqlx::Result<()> {
    let allowed: i32 = sqlx::query_scalar(
        "select least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
             nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1))
         from pg_roles r, pg_database d where r.rolname = current_user and d.datname = current_database()",
    )
    .fetch_one(pool)
    .await?;
    let sum: u32 = uses.iter().map(|(number, _)| number).sum();
    let parts: Vec<String> = uses.iter().map(|(number, what)| format!("{number} {what}")).collect();
    let parts = parts.join(", ");
    tracing::info!("at most {sum} connections to PostgreSQL: {parts}; it lets {allowed} in, of all processes together");
    if i64::from(sum) > i64::from(allowed) {
        tracing::warn!("PostgreSQL lets in fewer; lower DATABASE_MAX_CONNECTIONS or QUEUE_MAX_CONNECTIONS");
    }
    Ok(())
}

async fn close(connection: PgConnection) {
    // It is over either way.
    let _ = connection.close().await;
}
