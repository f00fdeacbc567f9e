//! Runs a queue's worker again whenever it ends.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use apalis::prelude::WorkerError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::presence::Presence;

/// Before a worker starts again, and the same after it has ended over and over.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a worker of one queue runs with, from one start to the next.
#[derive(Clone)]
pub(super) struct Run {
    /// Begins with the process's id, and is never used again.
    pub name: String,
    /// Cancelled when the process is to stop, or has been given up for dead.
    pub stop: CancellationToken,
    pub lost: CancellationToken,
}

/// Runs a worker of a queue, again after each end, under a name never used before. What one that ends has in hand goes back to the queue:
/// the presence no longer names it.
pub(super) async fn keep_running<F>(
    queue: &str,
    presence: &Presence,
    stop: &CancellationToken,
    start: impl Fn(Run) -> F,
) where
    F: Future<Output = Result<(), WorkerError>>,
{
    let mut pause = FIRST_PAUSE;
    while let Some(Some(identity)) = stop.run_until_cancelled(presence.identity()).await {
        let name = format!("{}:{queue}:{}", identity.id, Uuid::new_v4().simple());
        let asked = Instant::now();
        let Some(registered) = stop.run_until_cancelled(presence.register(&name, &identity)).await else { break };
        let Some(registered) = registered else { continue };
        // The database was away, so the pauses of the time before say nothing.
        let was_away = asked.elapsed() > FIRST_PAUSE;
        tracing::debug!(worker = name, queue, "worker starts");
        let (started, ends) = (Instant::now(), stop.child_token());
        let running = start(Run { name, stop: ends.clone(), lost: identity.lost.clone() });
        let lost = async {
            identity.lost.cancelled().await;
            ends.cancel();
            std::future::pending::<Infallible>().await
        };
        let ended = tokio::select! {
            ended = running => ended,
            never = lost => match never {},
        };
        drop(registered);
        if stop.is_cancelled() {
            break;
        }
        if identity.lost.is_cancelled() {
            continue;
        }
        if was_away || started.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        let why = ended.err().map_or_else(|| "it ended".to_owned(), |e| e.to_string());
        tracing::error!(queue, "worker stopped ({why}); starting again in {} s", pause.as_secs());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => break,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
