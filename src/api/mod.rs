//! The REST API.

mod admission;
mod auth;
mod backpressure;
mod client;
mod create;
mod form;
mod health;
mod insert;
mod media;
mod receive;
mod server;
mod v1;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Semaphore;

pub use self::admission::Limits;
use self::admission::{Rate, Uploads};
pub use self::auth::Policy;
use self::create::Listings;
pub use self::media::Media;
pub use self::server::{Listening, start};
use self::v1::{EventHub, Together};
use crate::outbound::Outbound;
use crate::storage::Storage;

/// For the database, where a request has no time of its own.
const ANSWER: Duration = Duration::from_secs(15);

#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub host: String,
    /// 0 takes a free one.
    pub port: u16,
    /// Bytes.
    pub max_upload: u64,
    /// Whether workers can sign webhooks.
    pub webhooks: bool,
    pub limits: Limits,
    /// For /api/v1.
    pub auth: Policy,
    /// For /api/create/.
    pub legacy_auth: Policy,
    pub media: Media,
}

/// What handlers share.
struct State {
    pool: PgPool,
    storage: Storage,
    outbound: Outbound,
    events: EventHub,
    settings: ServerSettings,
    rate: Rate,
    uploads: Arc<Uploads>,
    listings: Listings,
    together: Together,
    /// For a part of an export, whose writing takes memory and a connection.
    exports: Semaphore,
    /// Deleting objects keeps a connection to the database; the others are for requests.
    removals: Semaphore,
}
