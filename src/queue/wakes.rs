//! Wakes workers when jobs come in. The presence listens for all of them; what it misses, their polls find.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::stream::Stream;
use tokio::sync::mpsc;

/// Who is woken: the last that asked, of each queue.
#[derive(Clone, Default)]
pub struct Wakes(Arc<Mutex<HashMap<String, mpsc::Sender<()>>>>);

/// An item for each time that a queue may have a new job.
pub struct Wake(mpsc::Receiver<()>);

#[derive(serde::Deserialize)]
struct Announcement {
    job_type: String,
}

impl Wakes {
    /// Of apalis, and of `announce_job`.
    pub const CHANNEL: &str = "apalis::job::insert";

    pub fn of(&self, queue: &str) -> Wake {
        let (sender, receiver) = mpsc::channel(1);
        self.sleepers().insert(queue.to_owned(), sender);
        Wake(receiver)
    }

    /// Wakes the worker that an announcement is for; all of them if it says nothing, or if one may have been missed.
    pub fn wake(&self, announcement: Option<&str>) {
        let announced = announcement.and_then(|text| serde_json::from_str::<Announcement>(text).ok());
        for (queue, sleeper) in self.sleepers().iter() {
            if announced.as_ref().is_none_or(|a| a.job_type == *queue) {
                // It is awake already where there is no room.
                let _ = sleeper.try_send(());
            }
        }
    }

    fn sleepers(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Wake {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<()>> {
        self.0.poll_recv(context)
    }
}
