//! The REST API, and what the pages for people need of it.

mod admission;
mod auth;
mod backpressure;
pub(crate) mod client;
pub(crate) mod create;
pub(crate) mod form;
mod health;
mod insert;
pub(crate) mod media;
pub(crate) mod receive;
pub(crate) mod requester;
mod server;
pub(crate) mod session;
pub(crate) mod v1;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Semaphore;

pub use self::admission::Limits;
use self::admission::{Rate, Uploads};
pub use self::auth::Policy;
use self::create::Listings;
pub(crate) use self::create::not_found;
pub use self::media::Media;
pub use self::server::{Listening, Pages, start};
use self::v1::{EventHub, Together};
use crate::config::Setting;
use crate::outbound::Outbound;
use crate::storage::Storage;

/// For the database, where a request has no time of its own.
pub(crate) const ANSWER: Duration = Duration::from_secs(15);

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
    /// All settings as admins see them.
    pub listed: Vec<Setting>,
}

/// What handlers share.
pub(crate) struct State {
    pub(crate) pool: PgPool,
    pub(crate) storage: Storage,
    outbound: Outbound,
    pub(crate) events: EventHub,
    pub(crate) settings: ServerSettings,
    rate: Rate,
    uploads: Arc<Uploads>,
    listings: Listings,
    together: Together,
    /// For a part of an export, whose writing takes memory and a connection.
    exports: Semaphore,
    /// Deleting objects keeps a connection to the database; the others are for requests.
    removals: Semaphore,
}
