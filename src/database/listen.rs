//! Notifications, on a connection of their own.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification};

use super::{PING, in_time, pool};

/// A connection on which nothing is heard for so long is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(15);
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

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
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}

/// A connection that listens to a channel within some time of being open, and does not come back by itself under anybody's hands.
pub async fn listener(options: &PgConnectOptions, channel: &str, time: Duration) -> sqlx::Result<PgListener> {
    // A pool each time: what is left of a lost connection is in nobody's way.
    let pool = pool(options.clone(), 1);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    in_time(time, listener.listen(channel)).await?;
    Ok(listener)
}

/// The next notification; an error when the connection is lost.
pub async fn next(listener: &mut PgListener) -> sqlx::Result<PgNotification> {
    let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into());
    listener.try_recv().await?.ok_or_else(lost)
}

async fn hear(
    options: &PgConnectOptions,
    channel: &str,
    heard: &mut impl FnMut(Option<&str>),
    told: &mut bool,
) -> sqlx::Result<Infallible> {
    let mut listener = listener(options, channel, PING).await?;
    if std::mem::take(told) {
        tracing::info!(channel, "notifications are heard again");
    }
    heard(None);
    loop {
        match tokio::time::timeout(SILENCE, next(&mut listener)).await {
            Ok(notification) => heard(Some(notification?.payload())),
            Err(_) => in_time(PING, async { sqlx::query("select 1").execute(&mut listener).await.map(drop) }).await?,
        }
    }
}
