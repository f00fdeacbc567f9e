use clap::Args;

use crate::config::DatabaseArgs;

#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Brings the database's schema up to date; running it again does no harm.
pub async fn run(args: MigrateArgs) -> anyhow::Result<()> {
    let pool = args.database.connect().await?;
    crate::queue::migrate(&pool).await?;
    tracing::info!("the schema is up to date");
    Ok(())
}
