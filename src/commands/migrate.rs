use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use crate::config::{DatabaseArgs, StorageArgs};
use crate::storage::Storage;

/// An S3 server that is started along with us has this long to come up.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Create the bucket too, if it is not there: for S3 servers of one's own
    #[arg(long)]
    create_bucket: bool,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

/// Brings the database's schema up to date; running it again does no harm.
pub async fn run(args: MigrateArgs) -> anyhow::Result<()> {
    if args.create_bucket {
        create_bucket(&args.storage.open()?).await?;
    }
    let pool = args.database.connect().await?;
    crate::queue::migrate(&pool).await?;
    tracing::info!("the schema is up to date");
    Ok(())
}

async fn create_bucket(storage: &Storage) -> anyhow::Result<()> {
    let started = Instant::now();
    while let Err(error) = storage.create_bucket().await {
        if error.is_permanent() || started.elapsed() > PATIENCE {
            return Err(error).context(
                "the bucket could not be created; is AWS_S3_ENDPOINT_URL right, and may this user create buckets?",
            );
        }
        tracing::info!(%error, "waiting for S3");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    tracing::info!("the bucket is there");
    Ok(())
}
