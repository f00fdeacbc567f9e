use anyhow::Context;
use clap::Args;

use super::stop_on_signal;
use crate::api::{self, Pages, ServerSettings};
use crate::config::{DatabaseArgs, LimitArgs, OutboundArgs, ServerArgs, Setting, StorageArgs};
use crate::database;
use crate::queue;
use crate::{accounts, admin};

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    outbound: OutboundArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

/// `listed` is what admins see of the settings. Serves until SIGTERM or Ctrl-C, then lets requests in flight end.
pub fn run(args: ServeArgs, listed: Vec<Setting>) -> anyhow::Result<()> {
    crate::telemetry::init();
    actix_web::rt::System::new().block_on(async {
        let stop = stop_on_signal()?;
        let storage = args.storage.open()?;
        let outbound = args.outbound.client()?;
        let pool = args.database.connect_server().await?;
        queue::check_schema(&pool).await?;
        let own = pool.options().get_max_connections();
        database::report(&pool, &[(own, "for requests"), (1, "that listens")]).await?;
        let settings = ServerSettings {
            host: args.server.host,
            port: args.server.port,
            max_upload: args.outbound.max_file(),
            webhooks: args.outbound.signing_key()?.is_some(),
            limits: args.limits.limits(),
            auth: args.server.api_auth,
            legacy_auth: args.server.legacy_api_auth,
            media: args.server.media,
            listed,
        };
        let pages = Pages { configure: admin::configure, signing_key: accounts::signing_key(&pool).await? };
        let server = api::start(pool, storage, outbound, settings, pages, stop)?;
        tracing::info!("listening on http://{}/api/create/", server.address);
        server.run().await.context("server")
    })
}
