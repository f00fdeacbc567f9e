use anyhow::{Context, bail};
use clap::Args;

use crate::api::{self, ServerSettings};
use crate::config::{DatabaseArgs, ServerArgs, StorageArgs};

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

/// Serves until SIGTERM or Ctrl-C, then lets requests in flight end.
pub fn run(args: ServeArgs) -> anyhow::Result<()> {
    crate::telemetry::init();
    actix_web::rt::System::new().block_on(async {
        let storage = args.storage.open()?;
        let pool = args.database.connect().await?;
        let migrated: Option<String> =
            sqlx::query_scalar("select to_regclass('documents')::text").fetch_one(&pool).await?;
        if migrated.is_none() {
            bail!("the database has no schema yet; run `app migrate` first");
        }
        let settings = ServerSettings {
            host: args.server.host,
            port: args.server.port,
            max_upload: args.server.max_upload_mb << 20,
            upload_concurrency: args.server.upload_concurrency,
            auth: args.server.api_auth,
            legacy_auth: args.server.legacy_api_auth,
        };
        let server = api::start(pool, storage, &settings)?;
        tracing::info!("listening on http://{}/api/create/", server.address);
        server.run().await.context("server")
    })
}
