//! What clients may do, and what is fetched and sent for them.

use std::num::NonZeroU32;

use anyhow::Context;
use clap::Args;

use super::Secret;
use crate::api::{Limits, Media, Policy};
use crate::outbound::{Networks, Outbound, SigningKey};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Web server")]
pub struct ServerArgs {
    /// Port to listen on; 0 takes a free one
    #[arg(long, env, default_value_t = 8000)]
    pub port: u16,
    /// Address to listen on
    #[arg(long, env, default_value = "0.0.0.0", value_name = "ADDRESS")]
    pub host: String,
    /// Whether /api/v1 and /results/ need a token (`app token create`): auto means as soon as there is one
    #[arg(long, env, value_enum, default_value = "auto", value_name = "POLICY")]
    pub api_auth: Policy,
    /// The same for /api/create/ and /media/, which the tutorial leaves open
    #[arg(long, env, value_enum, default_value = "off", value_name = "POLICY")]
    pub legacy_api_auth: Policy,
    /// Where clients read files and pictures: what URLs answers carry; `app up` sets proxy
    #[arg(long, env, value_enum, default_value = "presigned", value_name = "WHERE")]
    pub media: Media,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Uploads that are received at a time; more wait their turn
    #[arg(long, env, default_value_t = 4, value_name = "N")]
    pub upload_concurrency: usize,
    /// Of these, how many one client (token or address) may have
    #[arg(long, env, default_value_t = 3, value_name = "N")]
    pub uploads_per_client: usize,
    /// Uploads that may wait for their turn, half of them of one client; more are answered with 503 (429 to that client)
    #[arg(long, env, default_value_t = 512, value_name = "N")]
    pub uploads_waiting: usize,
    /// Requests a second that one client may make on average; 0 for any number
    #[arg(long, env, default_value_t = 0, value_name = "N")]
    pub rate_limit: u32,
    /// Requests that one client may make at once before RATE_LIMIT holds; 0 for ten times that
    #[arg(long, env, default_value_t = 0, value_name = "N")]
    pub rate_burst: u32,
    /// Documents that may wait for a worker; further uploads are answered with 503; 0 for any number
    #[arg(long, env, default_value_t = 0, value_name = "N")]
    pub queue_limit: u32,
    /// Proxies before this server, each of which adds the client's address to X-Forwarded-For (Heroku: 1)
    #[arg(long, env, default_value_t = 0, value_name = "N")]
    pub trusted_proxies: usize,
}

impl LimitArgs {
    pub fn limits(&self) -> Limits {
        Limits {
            upload_concurrency: self.upload_concurrency.max(1),
            uploads_per_client: self.uploads_per_client.max(1),
            uploads_waiting: self.uploads_waiting.max(1),
            rate: NonZeroU32::new(self.rate_limit),
            burst: NonZeroU32::new(self.rate_burst),
            queue: NonZeroU32::new(self.queue_limit),
            trusted_proxies: self.trusted_proxies,
        }
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Files, URLs and webhooks")]
pub struct OutboundArgs {
    /// Largest file that is accepted, in MiB
    #[arg(long, env, default_value_t = 200, value_name = "MIB")]
    pub max_upload_mb: u64,
    /// Networks that files are fetched from and webhooks sent to although they are not public, such as 10.1.0.0/16,fd00::/8
    #[arg(long, env, default_value = "", value_name = "NETWORKS")]
    pub outbound_allow: Networks,
    /// Signs webhooks (standardwebhooks.com): whsec_ and base64, or any text of 16 bytes or more; without it there are none
    #[arg(long, env, hide_env_values = true, value_name = "KEY")]
    pub webhook_secret: Option<Secret>,
}

impl OutboundArgs {
    pub fn max_file(&self) -> u64 {
        self.max_upload_mb << 20
    }

    pub fn client(&self) -> anyhow::Result<Outbound> {
        Outbound::new(self.outbound_allow.clone()).context("the client for URLs and webhooks")
    }

    pub fn signing_key(&self) -> anyhow::Result<Option<SigningKey>> {
        let key = self.webhook_secret.as_ref().filter(|s| !s.0.is_empty());
        key.map(|s| s.0.parse()).transpose().map_err(|why| anyhow::anyhow!("WEBHOOK_SECRET {why}"))
    }
}
