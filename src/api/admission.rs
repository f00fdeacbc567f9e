//! How much one client, and all together, may ask for.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client::Client;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Uploads that are received at a time; each may hold a part of its file in memory.
    pub upload_concurrency: usize,
    /// Of these, how many one client may have.
    pub uploads_per_client: usize,
    /// Uploads that may wait, half of them of one client.
    pub uploads_waiting: usize,
    /// Requests a second of one client.
    pub rate: Option<NonZeroU32>,
    /// Requests at once; ten times the rate if there is none.
    pub burst: Option<NonZeroU32>,
    /// Documents that may wait for a worker.
    pub queue: Option<NonZeroU32>,
    pub trusted_proxies: usize,
}

/// Why an upload gets no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// Too many uploads wait.
    Server,
    /// This client has too many that wait.
    Client,
}

/// Lets requests through at a rate (GCRA).
pub struct Rate {
    limiter: Option<DefaultKeyedRateLimiter<Client>>,
    checks: AtomicU32,
}

/// After so many checks, clients that have been quiet for long are forgotten.
const HOUSEKEEPING: u32 = 10_000;

impl Rate {
    pub fn new(limits: &Limits) -> Self {
        let quota = limits.rate.map(|rate| {
            let burst = limits.burst.unwrap_or(rate.saturating_mul(NonZeroU32::MIN.saturating_add(9)));
            Quota::per_second(rate).allow_burst(burst)
        });
        Self { limiter: quota.map(RateLimiter::keyed), checks: AtomicU32::new(0) }
    }

    /// How long a client has to wait who asks too often.
    pub fn check(&self, client: Client) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if self.checks.fetch_add(1, Ordering::Relaxed) % HOUSEKEEPING == HOUSEKEEPING - 1 {
            limiter.retain_recent();
        }
        limiter.check_key(&client).map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}

/// The turns that uploads take.
pub struct Uploads {
    turns: Arc<Semaphore>,
    per_client: usize,
    most: usize,
    most_of_one: usize,
    clients: Mutex<HashMap<Client, Present>>,
}

/// A client's uploads.
struct Present {
    turns: Arc<Semaphore>,
    count: usize,
}

/// An upload may go on while it has this.
pub struct UploadPermit {
    _permits: [OwnedSemaphorePermit; 2],
    _place: Place,
}

/// Among those that have a turn or wait for one.
struct Place {
    uploads: Arc<Uploads>,
    client: Client,
}

impl Uploads {
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            turns: Arc::new(Semaphore::new(limits.upload_concurrency)),
            per_client: limits.uploads_per_client,
            most: limits.upload_concurrency + limits.uploads_waiting,
            most_of_one: limits.uploads_per_client + limits.uploads_waiting.div_ceil(2),
            clients: Mutex::default(),
        })
    }

    /// Waits for a turn, unless too many do. A client's own limit comes first, so that his waiting uploads are in nobody's way.
    pub async fn turn(self: &Arc<Self>, client: Client) -> Result<UploadPermit, Busy> {
        let (place, own) = self.place(client)?;
        let own = own.acquire_owned().await.map_err(|_| Busy::Server)?;
        let all = self.turns.clone().acquire_owned().await.map_err(|_| Busy::Server)?;
        Ok(UploadPermit { _permits: [own, all], _place: place })
    }

    fn place(self: &Arc<Self>, client: Client) -> Result<(Place, Arc<Semaphore>), Busy> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.values().map(|p| p.count).sum::<usize>() >= self.most {
            return Err(Busy::Server);
        }
        let new = || Present { turns: Arc::new(Semaphore::new(self.per_client)), count: 0 };
        let present = clients.entry(client).or_insert_with(new);
        if present.count >= self.most_of_one {
            return Err(Busy::Client);
        }
        present.count += 1;
        Ok((Place { uploads: self.clone(), client }, present.turns.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.uploads.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = clients.get_mut(&self.client) {
            present.count -= 1;
            if present.count == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            upload_concurrency: 2,
            uploads_per_client: 1,
            uploads_waiting: 2,
            rate: NonZeroU32::new(1),
            burst: NonZeroU32::new(3),
            queue: None,
            trusted_proxies: 0,
        }
    }

    #[test]
    fn rate() {
        let rate = Rate::new(&limits());
        let waits: Vec<bool> = (0..5).map(|_| rate.check(Client::Token(1)).is_err()).collect();
        assert_eq!(waits, [false, false, false, true, true]);
        assert!(rate.check(Client::Token(2)).is_ok());
        assert!(rate.check(Client::Token(1)).unwrap_err() <= Duration::from_secs(1));
    }

    #[tokio::test]
    async fn turns() {
        let uploads = Uploads::new(&limits());
        let (a, b) = (Client::Token(1), Client::Token(2));
        let first = uploads.turn(a).await.unwrap();
        let mut second = std::pin::pin!(uploads.turn(a));
        assert!(futures_util::poll!(&mut second).is_pending());
        // One waits already, and two of this client is the most.
        assert_eq!(uploads.turn(a).await.err(), Some(Busy::Client));
        // His waiting is in nobody's way.
        let other = uploads.turn(b).await.unwrap();
        let mut third = std::pin::pin!(uploads.turn(b));
        assert!(futures_util::poll!(&mut third).is_pending());
        assert_eq!(uploads.turn(Client::Token(3)).await.err(), Some(Busy::Server));
        drop(first);
        let second = second.await.unwrap();
        drop((second, other));
        drop(third.await.unwrap());
        assert!(uploads.clients.lock().unwrap().is_empty());
    }
}
