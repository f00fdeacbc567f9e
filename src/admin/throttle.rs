//! How often somebody may try to log in: by name, and by address whatever the name.

use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::error::{Error, Result};
use crate::api::client::Client;

/// Ten attempts at once, then one every half a minute.
const NAME: (u32, Duration) = (10, Duration::from_secs(30));
/// Thirty at once, then one every six seconds: many people may share an address.
const ADDRESS: (u32, Duration) = (30, Duration::from_secs(6));
/// Names and addresses that are remembered before those are forgotten that have been quiet.
const MOST: usize = 10_000;

static BY_NAME: LazyLock<DefaultKeyedRateLimiter<String>> = LazyLock::new(|| RateLimiter::keyed(quota(NAME)));
static BY_ADDRESS: LazyLock<DefaultKeyedRateLimiter<Client>> = LazyLock::new(|| RateLimiter::keyed(quota(ADDRESS)));

fn quota((burst, period): (u32, Duration)) -> Quota {
    let quota = Quota::with_period(period).unwrap_or(Quota::per_minute(NonZeroU32::MIN));
    quota.allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN))
}

/// `stranger` is the client at the request's address.
pub fn check(name: &str, stranger: Client) -> Result<()> {
    if BY_NAME.len() > MOST {
        BY_NAME.retain_recent();
    }
    if BY_ADDRESS.len() > MOST {
        BY_ADDRESS.retain_recent();
    }
    // No user has a longer name, and what is remembered is bounded.
    let name: String = name.trim().chars().take(150).flat_map(char::to_lowercase).collect();
    // An address first, so that one that guesses names does not lock those out who bear them.
    let now = DefaultClock::default().now();
    let refused = BY_ADDRESS.check_key(&stranger).and_then(|()| BY_NAME.check_key(&name));
    refused.map_err(|until| Error::TooMany { seconds: until.wait_time_from(now).as_secs() + 1 })
}
