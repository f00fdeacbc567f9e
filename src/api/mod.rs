//! The REST API.

mod auth;
mod create;
mod form;
mod health;
mod receive;
mod v1;

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use anyhow::Context;
use sqlx::PgPool;
use tokio::sync::Semaphore;

pub use self::auth::Policy;
use self::v1::{EventHub, EventListener};
use crate::storage::Storage;

#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub host: String,
    /// 0 takes a free one.
    pub port: u16,
    /// Bytes.
    pub max_upload: u64,
    pub upload_concurrency: usize,
    /// For /api/v1.
    pub auth: Policy,
    /// For /api/create/.
    pub legacy_auth: Policy,
}

/// What handlers share.
struct State {
    pool: PgPool,
    storage: Storage,
    events: EventHub,
    auth: Policy,
    legacy_auth: Policy,
    max_upload: u64,
    /// Each upload may hold a part of the file in memory; this bounds how many do.
    uploads: Semaphore,
}

/// Threads that serve requests; the work is waiting, so two are plenty.
const THREADS: usize = 2;

/// A server that listens.
pub struct Listening {
    pub address: SocketAddr,
    server: Server,
    events: EventListener,
}

impl Listening {
    /// Serves until SIGTERM or Ctrl-C; requests in flight end first.
    pub async fn run(self) -> std::io::Result<()> {
        let result = self.server.await;
        self.events.stop().await;
        result
    }
}

/// Binds the port.
pub fn start(pool: PgPool, storage: Storage, settings: &ServerSettings) -> anyhow::Result<Listening> {
    let (hub, events) = EventHub::start(pool.clone());
    let state = web::Data::new(State {
        events: hub,
        pool,
        storage,
        auth: settings.auth,
        legacy_auth: settings.legacy_auth,
        max_upload: settings.max_upload,
        uploads: Semaphore::new(settings.upload_concurrency.max(1)),
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .service(create::resource())
            .service(create::resource_without_slash())
            .configure(v1::configure)
            .route("/healthz", web::get().to(health::healthz))
            .route("/readyz", web::get().to(health::readyz))
            .default_service(web::to(create::drf::not_found))
    })
    .workers(THREADS)
    .client_request_timeout(Duration::from_secs(10))
    .shutdown_timeout(20)
    .bind((settings.host.as_str(), settings.port))
    .with_context(|| {
        format!("HOST={} PORT={} cannot be listened on; choose another --port", settings.host, settings.port)
    })?;
    let address = *server.addrs().first().context("no address")?;
    Ok(Listening { address, server: server.run(), events })
}
