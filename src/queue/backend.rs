//! What apalis is told of every queue.

use std::time::Duration;

use apalis_postgres::Config;

pub(super) const POLL: Duration = Duration::from_secs(1);
/// What apalis calls an orphan: never in practice, since the reaper knows better who is dead.
/// The heartbeat also wakes a worker that apalis left asleep, as it does where a fetch takes as long as `POLL`.
const APALIS_HEARTBEAT: Duration = Duration::from_secs(5);
const APALIS_MISSED_HEARTBEATS: usize = 17_280;

/// A queue's settings for apalis.
pub(super) fn config(queue: &str) -> Config {
    Config::default()
        .queue(queue)
        .batch_size(1)
        .heartbeat_interval(APALIS_HEARTBEAT)
        .missed_heartbeats(APALIS_MISSED_HEARTBEATS)
}
