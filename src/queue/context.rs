//! What a worker of documents runs with, and when it has worked enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Retention;
use super::supervisor::Run;
use crate::pipeline::Pipeline;

#[derive(Debug, Clone, Copy)]
pub struct WorkerSettings {
    /// Documents at a time. The model takes one page at a time, whatever this says.
    pub concurrency: usize,
    /// A worker that is there but says nothing for so long is taken for dead.
    pub silence: Duration,
    /// Documents after which the process ends.
    pub max_documents: Option<usize>,
    /// Bytes of resident memory after a document that end the process.
    pub max_memory: Option<u64>,
    pub keep: Retention,
    /// To the database, for taking and reporting jobs.
    pub queue_connections: u32,
}

#[derive(Clone)]
pub(super) struct Context {
    pub pipeline: Arc<Pipeline>,
    pub recycling: Arc<Recycling>,
    pub run: Run,
}

/// Ends the process between jobs when it has worked enough or grown too large.
pub(super) struct Recycling {
    settings: WorkerSettings,
    documents: AtomicUsize,
    stop: CancellationToken,
}

impl Recycling {
    pub fn new(settings: WorkerSettings, stop: CancellationToken) -> Self {
        Self { settings, documents: AtomicUsize::new(0), stop }
    }

    /// A document is through.
    pub fn count(&self, model_hangs: bool) {
        if model_hangs {
            tracing::error!("the model does not stop at a page; ending, to be started again");
            self.stop.cancel();
        }
        let documents = self.documents.fetch_add(1, Ordering::Relaxed) + 1;
        let memory = resident_memory();
        let large = self.settings.max_memory.is_some_and(|most| memory > most);
        if large || self.settings.max_documents.is_some_and(|most| documents >= most) {
            tracing::info!(documents, memory_mb = memory >> 20, "worked enough; ending, to be started again");
            self.stop.cancel();
        }
    }
}

/// Of this process, in bytes; 0 where the system does not say.
fn resident_memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    pages.unwrap_or(0) * size.and_then(|s| u64::try_from(s).ok()).unwrap_or(0)
}
