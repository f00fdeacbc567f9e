//! Every setting, one struct per concern: a flag and an environment variable each, read once; `.env` is loaded before.

mod model;
mod server;
mod stores;
mod worker;

use std::str::FromStr;

use anyhow::Context;

pub use self::model::{Choice, ModelArgs, RenderArgs};
pub use self::server::{LimitArgs, OutboundArgs, ServerArgs};
pub use self::stores::{DatabaseArgs, StorageArgs};
pub use self::worker::{KeepArgs, WorkerArgs, pipeline_settings};

/// A setting's value that must not show in a log.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Ok(Self(s.to_owned()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A setting as it stands, for people.
#[derive(Debug, Clone)]
pub struct Setting {
    pub group: String,
    /// Of the environment variable.
    pub name: String,
    pub help: String,
    /// Empty if there is none, and of secrets.
    pub value: String,
    pub default: String,
    pub is_secret: bool,
    pub source: Source,
}

/// Where a setting's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Unset,
    Default,
    Environment,
    Flag,
}

/// One line that names the setting and the remedy.
fn require<T: Clone>(value: &Option<T>, name: &str, remedy: &str) -> anyhow::Result<T> {
    value.clone().with_context(|| {
        format!(
            "{name} is not set; give it in the environment, in .env or as --{}: {remedy}",
            name.to_lowercase().replace('_', "-")
        )
    })
}
