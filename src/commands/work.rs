use anyhow::Context;
use clap::Args;

use super::stop_on_signal;
use crate::config::{DatabaseArgs, ModelArgs, OutboundArgs, RenderArgs, StorageArgs, WorkerArgs, pipeline_settings};
use crate::database;
use crate::documents::{ModelCard, RegisteredModel};
use crate::pipeline::{Courier, Pipeline};
use crate::queue;

#[derive(Debug, Args)]
pub struct WorkArgs {
    #[command(flatten)]
    worker: WorkerArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    render: RenderArgs,
    #[command(flatten)]
    outbound: OutboundArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

/// Processes documents until it is told to stop; SIGTERM hands the document back at the next page.
pub async fn run(args: WorkArgs) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    let storage = args.storage.open()?;
    let renderer = args.render.renderer()?;
    let settings = pipeline_settings(&args.render, &args.model, &args.outbound, &args.worker);
    let (outbound, key) = (args.outbound.client()?, args.outbound.signing_key()?);
    storage.check().await.context("AWS_STORAGE_BUCKET_NAME: the bucket does not answer")?;
    let pool = args.database.connect_worker().await?;
    let (own, for_queue) = (pool.options().get_max_connections(), args.worker.queue_max_connections.get());
    let uses = [(own, "for documents"), (for_queue, "for the queue"), (1, "that listens and shows that we live")];
    queue::check_schema(&pool).await?;
    database::report(&pool, &uses).await?;
    let card = std::fs::read_to_string(args.model.model_path.join("MODEL_CARD.md")).unwrap_or_default();
    let model_args = args.model;
    let detector = tokio::task::spawn_blocking(move || model_args.load()).await??;
    tracing::info!("The model {} runs on {}", detector.name(), detector.device());
    let model = RegisteredModel::register(&pool, detector.name(), detector.sha256(), detector.classes())
        .await
        .context("registering the model")?;
    model.describe(&pool, &ModelCard::parse(&card)).await.context("registering the model's card")?;
    let courier = key.map(|key| Courier { pool: pool.clone(), outbound: outbound.clone(), key });
    let pipeline = Pipeline { pool, storage, outbound, renderer, detector, model, settings };
    queue::work(pipeline, courier, args.worker.settings(), stop).await
}
