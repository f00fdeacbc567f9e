//! Errors that are the database's absence, and no fault of what was asked.

use std::time::Duration;

use sqlx::PgPool;

pub(super) const DIRECT: &str =
    "give the address of PostgreSQL itself: docreader needs LISTEN and locks of its own, and keeps few connections";

/// Between two looks for a database that is away.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// Whether the database was away: no connection, a connection that broke, a server that starts, stops or has no connection left.
pub fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) => true,
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // 08: connection exceptions. 57P: ended or not yet started by an operator, 53300: too many connections,
            // 25P03 and 25P04: a transaction of a connection that was silent, 25006: a standby that is not yet the primary.
            code.starts_with("08") || code.starts_with("57P") || matches!(&*code, "53300" | "25P03" | "25P04" | "25006")
        }),
        _ => false,
    }
}

/// Whether the server has no connection left for us.
pub fn is_shortage(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "53300")
}

/// What an operator can do about it.
pub(super) fn explain(error: &sqlx::Error) -> Option<String> {
    let text = error.to_string();
    if is_shortage(error) {
        let remedy = "lower DATABASE_MAX_CONNECTIONS, run fewer processes, or let it have more (max_connections)";
        return Some(format!("PostgreSQL has no connection left; {remedy}"));
    }
    // PgBouncer's words.
    (text.contains("unsupported startup parameter")).then(|| format!("this is a pooler such as PgBouncer; {DIRECT}"))
}

/// Returns when the database answers.
pub async fn wait_for(pool: &PgPool) {
    while sqlx::query("select 1").execute(pool).await.is_err() {
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}
