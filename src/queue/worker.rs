//! The worker loop, in the shape that survived its trials with apalis-postgres 1.0: one job fetched at a time, NOTIFY with a
//! poll beside it, a name never used before, panics caught, and a restart with a pause when the database goes away.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::handle::handle;
use super::presence::Presence;
use super::wakes::Wakes;
use super::{DocumentJob, Retention, WebhookJob, prune, reaper, webhooks};
use crate::database;
use crate::pipeline::{self, Courier, Pipeline};

pub(super) const POLL: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(60);
/// Before a worker starts again, and the same after it has ended over and over.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

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

/// What apalis calls an orphan: never in practice, since the reaper knows better who is dead.
/// The heartbeat also wakes a worker that apalis left asleep, as it does where a fetch takes as long as `POLL`.
const APALIS_HEARTBEAT: Duration = Duration::from_secs(5);
const APALIS_MISSED_HEARTBEATS: usize = 17_280;

/// What a worker of one queue runs with, from one start to the next.
#[derive(Clone)]
pub(super) struct Run {
    /// Begins with the process's id, and is never used again.
    pub name: String,
    /// Cancelled when the process is to stop, or has been given up for dead.
    pub stop: CancellationToken,
    pub lost: CancellationToken,
}

#[derive(Clone)]
pub(super) struct Context {
    pub pipeline: Arc<Pipeline>,
    pub recycling: Arc<Recycling>,
    pub run: Run,
}

/// Processes documents, and sends webhooks if there is a courier, until `stop` is cancelled; then hands back what it has begun
/// and returns.
pub async fn work(
    pipeline: Pipeline,
    courier: Option<Courier>,
    settings: WorkerSettings,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let own_queue = DocumentJob::queue_of(&pipeline.model.name);
    let options = pipeline.pool.connect_options().as_ref().clone();
    // apalis drops what it has begun when it stops, and so leaves transactions open on connections (see `documents::begin`): its own, then.
    let queue_pool = database::pool(options.clone(), settings.queue_connections);
    let wakes = Wakes::default();
    let mut presence = Presence::start(options, pipeline.model.name.clone(), wakes.clone())?;
    tracing::info!(model = pipeline.model.slug(), "waiting for documents");
    let pipeline = Arc::new(pipeline);
    tokio::spawn(sweep(pipeline.clone(), settings.keep, stop.clone()));
    let webhooks = async {
        if let Some(courier) = courier {
            let courier = Arc::new(courier);
            keep_running(WebhookJob::QUEUE, &presence, &stop, |run| webhooks::run(&queue_pool, run, courier.clone()))
                .await;
        }
    };
    let recycling = Arc::new(Recycling::new(settings, stop.clone()));
    let documents = |queue| {
        let (pipeline, recycling, queue_pool, wakes) = (pipeline.clone(), recycling.clone(), &queue_pool, &wakes);
        keep_running(queue, &presence, &stop, move |run| {
            let context = Context { pipeline: pipeline.clone(), recycling: recycling.clone(), run };
            run_documents(queue_pool, wakes, queue, context, settings)
        })
    };
    // Not `join!`, with which a wake of one polls all: apalis fetches each time that it is polled, so that its workers would keep each
    // other, and the database, busy for ever.
    let all = [
        documents(DocumentJob::QUEUE).boxed_local(),
        documents(&own_queue).boxed_local(),
        webhooks.boxed_local(),
        reaper::reap(&pipeline.pool, settings.silence, &stop).boxed_local(),
    ];
    FuturesUnordered::from_iter(all).collect::<()>().await;
    tokio::task::spawn_blocking(move || presence.end()).await?;
    Ok(())
}

/// Runs a worker of a queue, again after each end, under a name never used before. What one that ends has in hand goes back to the queue:
/// the presence no longer names it.
async fn keep_running<F>(queue: &str, presence: &Presence, stop: &CancellationToken, start: impl Fn(Run) -> F)
where
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

/// Now and then removes the objects that deletions had to leave, and jobs that ended long ago.
async fn sweep(pipeline: Arc<Pipeline>, keep: Retention, stop: CancellationToken) {
    while tokio::time::timeout(SWEEP, stop.cancelled()).await.is_err() {
        if let Err(error) = pipeline::sweep(&pipeline.pool, &pipeline.storage).await {
            tracing::warn!(error = format!("{error:#}"), "objects of deleted documents could not be removed");
        }
        match prune(&pipeline.pool, keep).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "old jobs removed"),
            Err(error) => tracing::warn!(%error, "old jobs could not be removed"),
        }
    }
}

/// A queue's settings for apalis.
pub(super) fn config(queue: &str) -> Config {
    Config::default()
        .queue(queue)
        .batch_size(1)
        .heartbeat_interval(APALIS_HEARTBEAT)
        .missed_heartbeats(APALIS_MISSED_HEARTBEATS)
}

async fn run_documents(
    pool: &PgPool,
    wakes: &Wakes,
    queue: &str,
    context: Context,
    settings: WorkerSettings,
) -> Result<(), WorkerError> {
    let backend = PollWith::new(
        PostgresStorage::<DocumentJob>::new(pool).with_config(config(queue)),
        StreamStrategy::new(wakes.of(queue)),
    );
    let backend = backend.poll_with_interval(POLL);
    let (name, stop) = (context.run.name.clone(), context.run.stop.clone());
    WorkerBuilder::new(name)
        .backend(backend)
        .data(context)
        .concurrency(settings.concurrency)
        .catch_panic()
        .build(handle)
        .run_until(async move {
            stop.cancelled().await;
            Ok::<_, WorkerError>(())
        })
        .await
}

/// Ends the process between jobs when it has worked enough or grown too large.
pub(super) struct Recycling {
    settings: WorkerSettings,
    documents: AtomicUsize,
    stop: CancellationToken,
}

impl Recycling {
    fn new(settings: WorkerSettings, stop: CancellationToken) -> Self {
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
