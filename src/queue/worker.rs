//! The worker loop, in the shape that survived its trials with apalis-postgres 1.0: one job fetched at a time, NOTIFY with a
//! poll beside it, a name never used before, panics caught, and a restart with a pause when the database goes away.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{DocumentJob, WebhookJob, webhooks};
use crate::documents;
use crate::pipeline::{self, Courier, JobError, Pipeline, Processed};

pub(super) const POLL: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
pub struct WorkerSettings {
    /// Documents at a time. The model takes one page at a time, whatever this says.
    pub concurrency: usize,
    pub heartbeat: Duration,
    /// So many heartbeats missed, and another worker takes over.
    pub missed_heartbeats: usize,
}

#[derive(Clone)]
struct Context {
    pipeline: Arc<Pipeline>,
    stop: CancellationToken,
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
    tracing::info!(model = pipeline.model.slug(), "waiting for documents");
    let context = Context { pipeline: Arc::new(pipeline), stop: stop.clone() };
    tokio::spawn(sweep_garbage(context.pipeline.clone(), stop.clone()));
    let webhooks = async {
        if let Some(courier) = courier {
            let courier = Arc::new(courier);
            keep_running(WebhookJob::QUEUE, &stop, |name| webhooks::run(name, courier.clone(), settings, &stop)).await;
        }
    };
    tokio::join!(
        keep_running(DocumentJob::QUEUE, &stop, |name| run(name, DocumentJob::QUEUE, &context, settings)),
        keep_running(&own_queue, &stop, |name| run(name, &own_queue, &context, settings)),
        webhooks
    );
    Ok(())
}

/// Runs a worker of a queue, again after each end, under a name never used before.
async fn keep_running<F>(queue: &str, stop: &CancellationToken, run: impl Fn(String) -> F)
where
    F: Future<Output = Result<(), WorkerError>>,
{
    let host = nix::unistd::gethostname().unwrap_or_default();
    let mut pause = Duration::from_secs(1);
    while !stop.is_cancelled() {
        let name = format!("{}-{}", host.to_string_lossy(), Uuid::new_v4());
        tracing::debug!(worker = name, queue, "worker starts");
        let started = std::time::Instant::now();
        let ended = run(name).await;
        if stop.is_cancelled() {
            break;
        }
        if started.elapsed() > LONGEST_PAUSE {
            pause = Duration::from_secs(1);
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

/// Now and then removes the objects that deletions had to leave.
async fn sweep_garbage(pipeline: Arc<Pipeline>, stop: CancellationToken) {
    while tokio::time::timeout(SWEEP, stop.cancelled()).await.is_err() {
        if let Err(error) = pipeline::sweep(&pipeline.pool, &pipeline.storage).await {
            tracing::warn!(error = format!("{error:#}"), "objects of deleted documents could not be removed");
        }
    }
}

/// A queue's settings for apalis.
pub(super) fn config(queue: &str, settings: WorkerSettings) -> Config {
    Config::default()
        .queue(queue)
        .batch_size(1)
        .heartbeat_interval(settings.heartbeat)
        .missed_heartbeats(settings.missed_heartbeats)
}

async fn run(name: String, queue: &str, context: &Context, settings: WorkerSettings) -> Result<(), WorkerError> {
    let backend = PostgresStorage::<DocumentJob>::new(&context.pipeline.pool)
        .with_config(config(queue, settings))
        .with_pubsub()
        .poll_with_interval(POLL);
    let stop = context.stop.clone();
    WorkerBuilder::new(name)
        .backend(backend)
        .data(context.clone())
        .concurrency(settings.concurrency)
        .catch_panic()
        .build(handle)
        .run_until(async move {
            stop.cancelled().await;
            Ok::<_, WorkerError>(())
        })
        .await
}

async fn handle(job: DocumentJob, context: Data<Context>, attempt: Attempt) -> Result<Processed, BoxDynError> {
    let id = job.document_id;
    let pool = &context.pipeline.pool;
    let attempt = attempt.current();
    // apalis catches panics too, but leaves their jobs marked as running.
    let outcome = AssertUnwindSafe(context.pipeline.run(id, &context.stop)).catch_unwind().await;
    let outcome =
        outcome.unwrap_or_else(|_| Err(JobError::Transient(anyhow::anyhow!("a panic, which the log tells of"))));
    match outcome {
        Ok(processed) => {
            tracing::info!(document = id, pages = processed.pages, detections = processed.detections, "document done");
            Ok(processed)
        }
        Err(JobError::Stopped) => {
            documents::release(pool, id).await?;
            tracing::info!(document = id, "handed back");
            Err(DeferredError::new(JobError::Stopped).into())
        }
        Err(JobError::Permanent { code, message }) => {
            tracing::warn!(document = id, code, reason = message, "document failed");
            documents::fail(pool, id, code, &message).await?;
            Err(AbortError::new(JobError::Permanent { code, message }).into())
        }
        Err(JobError::Elsewhere { code, message }) => {
            tracing::warn!(document = id, attempt, code, reason = message, "attempt failed");
            if attempt >= DocumentJob::MAX_ATTEMPTS {
                documents::fail(pool, id, code, &message).await?;
            } else {
                documents::release(pool, id).await?;
            }
            Err(JobError::Elsewhere { code, message }.into())
        }
        Err(JobError::Transient(error)) if attempt >= DocumentJob::MAX_ATTEMPTS => {
            tracing::error!(document = id, attempt, error = format!("{error:#}"), "document given up");
            let reason = format!(
                "Processing failed {attempt} times for reasons outside the document; the workers' log has them."
            );
            documents::fail(pool, id, "gave_up", &reason).await?;
            Err(JobError::Transient(error).into())
        }
        Err(JobError::Transient(error)) => {
            tracing::warn!(document = id, attempt, error = format!("{error:#}"), "attempt failed, another will follow");
            documents::release(pool, id).await?;
            Err(JobError::Transient(error).into())
        }
    }
}
