//! Notifications, on a connection of their own.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener};

use super::{PING, in_time, pool};

/// A connection on which nothing is heard for so long is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_secs(1);

/// Calls `heard` with the payload of each notification of a channel, and with `None` whenever some may have been missed: at the
/// start, and after each time that the connection was lost. Goes on until it is dropped.
pub async fn listen(options: &PgConnectOptions, channel: &str, mut heard: impl FnMut(Option<&str>)) -> Infallible {
    let mut told = false;
    loop {
        if let Err(error) = hear(options, channel, &mut heard, &mut told).await
            && !told
        {
            tracing::warn!(%error, channel, "notifications are not heard; connecting again");
            told = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(
    options: &PgConnectOptions,
    channel: &str,
    heard: &mut impl FnMut(Option<&str>),
    told: &mut bool,
) -> sqlx::Result<Infallible> {
    // A pool each time: what is left of a lost connection is in nobody's way.
    let pool = pool(options.clone(), 1);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    in_time(PING, listener.listen(channel)).await?;
    if std::mem::take(told) {
        tracing::info!(channel, "notifications are heard again");
    }
    heard(None);
    loop {
        match tokio::time::timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => heard(Some(notification.payload())),
            Ok(Ok(None)) => return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into())),
            Ok(Err(error)) => return Err(error),
            Err(_) => in_time(PING, async { sqlx::query("select 1").execute(&mut listener).await.map(drop) }).await?,
        }
    }
}
