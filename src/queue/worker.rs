//! The worker loop, in the shape that survived its trials with apalis-postgres 1.0: one job fetched at a time, NOTIFY with a
//! poll beside it, a name never used before, panics caught, and a restart with a pause when the database goes away.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::backend::{POLL, config};
use super::context::{Context, Recycling, WorkerSettings};
use super::handle::handle;
use super::presence::Presence;
use super::supervisor::keep_running;
use super::wakes::Wakes;
use super::{DocumentJob, Retention, WebhookJob, prune, reaper, webhooks};
use crate::database;
use crate::pipeline::{self, Courier, Pipeline};

const SWEEP: Duration = Duration::from_secs(60);
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
