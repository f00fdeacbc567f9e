//! Every setting, one struct per concern: a flag and an environment variable each, read once; `.env` is loaded before.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};

use crate::api::{Limits, Policy};
use crate::outbound::{Networks, Outbound, SigningKey};
use crate::pipeline::{Detector, PipelineSettings};
use crate::queue::{Keep, WorkerSettings};
use crate::rcnn::{self, Dtype, Kernels, Memory, Model};
use crate::render::{self, Renderer, find_pdfium};
use crate::storage::{Storage, StorageSettings};

/// A setting's value that must not show in a log.
#[derive(Clone)]
pub struct Secret(String);

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

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArgs {
    /// PostgreSQL, such as postgres://user:password@host/database
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub database_url: Option<Secret>,
    /// Connections at most, 4 or more
    #[arg(long, env, default_value_t = 5, value_name = "N")]
    pub database_max_connections: u32,
}

impl DatabaseArgs {
    pub async fn connect(&self) -> anyhow::Result<PgPool> {
        let url =
            require(&self.database_url, "DATABASE_URL", "postgres://user:password@host/database; `app up` needs none")?;
        let options = PgConnectOptions::from_str(&url.0).map_err(|e| {
            anyhow::anyhow!(
                "DATABASE_URL is no PostgreSQL address ({e}); it looks like postgres://user:password@host/database"
            )
        })?;
        let place = format!("{}/{}", options.get_host(), options.get_database().unwrap_or_default());
        PgPoolOptions::new()
            // Two listen, in a worker; that leaves as many to work with.
            .max_connections(self.database_max_connections.max(4))
            .acquire_timeout(Duration::from_secs(10))
            // A round trip for nothing while there is much to do; after a pause the server may be another.
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for > Duration::from_secs(1) {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options)
            .await
            .with_context(|| {
                format!("DATABASE_URL: no connection to {place}; is the server up and the password right?")
            })
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Object storage (S3)")]
pub struct StorageArgs {
    #[arg(long, env, hide_env_values = true, value_name = "KEY")]
    pub aws_access_key_id: Option<Secret>,
    #[arg(long, env, hide_env_values = true, value_name = "KEY")]
    pub aws_secret_access_key: Option<Secret>,
    /// The bucket; it must exist
    #[arg(long, env, value_name = "NAME")]
    pub aws_storage_bucket_name: Option<String>,
    #[arg(long, env, default_value = "us-east-1", value_name = "REGION")]
    pub aws_region: String,
    /// An S3 server other than Amazon's, such as http://rustfs:9000
    #[arg(long, env, value_name = "URL")]
    pub aws_s3_endpoint_url: Option<String>,
    /// Where clients reach that server, if not there: for the URLs that they are given
    #[arg(long, env, value_name = "URL")]
    pub aws_s3_public_endpoint_url: Option<String>,
    /// Host that serves the bucket's objects, for the URLs in answers
    #[arg(long, env, value_name = "HOST")]
    pub aws_s3_custom_domain: Option<String>,
    /// Access control list of new objects, such as public-read; none by default, since new buckets refuse them
    #[arg(long, env, value_name = "ACL")]
    pub aws_default_acl: Option<String>,
}

impl StorageArgs {
    pub fn open(&self) -> anyhow::Result<Storage> {
        let settings = StorageSettings {
            bucket: require(&self.aws_storage_bucket_name, "AWS_STORAGE_BUCKET_NAME", "the name of an S3 bucket")?,
            region: self.aws_region.clone(),
            endpoint: self.aws_s3_endpoint_url.clone().filter(|s| !s.is_empty()),
            access_key: require(&self.aws_access_key_id, "AWS_ACCESS_KEY_ID", "the access key of the bucket's user")?.0,
            secret_key: require(
                &self.aws_secret_access_key,
                "AWS_SECRET_ACCESS_KEY",
                "the secret key of the bucket's user",
            )?
            .0,
            public_endpoint: self.aws_s3_public_endpoint_url.clone().filter(|s| !s.is_empty()),
            custom_domain: self.aws_s3_custom_domain.clone().filter(|s| !s.is_empty()),
            acl: self.aws_default_acl.clone().filter(|s| !s.is_empty()),
        };
        for (name, url) in
            [("AWS_S3_ENDPOINT_URL", &settings.endpoint), ("AWS_S3_PUBLIC_ENDPOINT_URL", &settings.public_endpoint)]
        {
            if let Some(url) = url
                && !url.starts_with("http://")
                && !url.starts_with("https://")
            {
                bail!("{name}={url} is no URL; it looks like http://host:9000");
            }
        }
        Storage::new(&settings).context("AWS_REGION, AWS_S3_ENDPOINT_URL or AWS_DEFAULT_ACL")
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Web server")]
pub struct ServerArgs {
    /// Port to listen on; 0 takes a free one
    #[arg(long, env, default_value_t = 8000)]
    pub port: u16,
    /// Address to listen on
    #[arg(long, env, default_value = "0.0.0.0", value_name = "ADDRESS")]
    pub host: String,
    /// Whether /api/v1 needs a token (`app token create`): auto means as soon as there is one
    #[arg(long, env, value_enum, default_value = "auto", value_name = "POLICY")]
    pub api_auth: Policy,
    /// The same for /api/create/, which the tutorial leaves open
    #[arg(long, env, value_enum, default_value = "off", value_name = "POLICY")]
    pub legacy_api_auth: Policy,
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

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Folder with model_final.pth or model.safetensors, config.yaml and perhaps classes.txt
    #[arg(long = "model", env = "MODEL_PATH", default_value = "models/default", value_name = "DIR")]
    pub model_path: PathBuf,
    /// Where the model runs: auto, cpu or cuda
    #[arg(long = "device", env = "MODEL_DEVICE", default_value = "auto", value_name = "DEVICE")]
    pub model_device: String,
    /// What a CPU may keep in memory to be faster: low suits machines of 512 MiB, auto looks at the machine or its container
    #[arg(long, env, value_enum, default_value = "auto", value_name = "MEMORY")]
    pub model_memory: Memory,
    /// bf16 makes the heads faster on CPUs with AMX (Intel's Xeons since 2023), and moves boxes by a fraction of a pixel
    #[arg(long, env, value_enum, default_value = "f32", value_name = "DTYPE")]
    pub model_dtype: Dtype,
    /// Whether regions' edges move to where the ink ends: yes, no, or auto, as docreader.yaml in the model's folder says
    #[arg(long, env, value_enum, default_value = "auto", value_name = "WHETHER")]
    pub snap_to_ink: Choice,
    /// Regions with a lower score are not reported
    #[arg(long, env, default_value_t = 0.3, value_name = "0..1", value_parser = unit)]
    pub score_threshold: f32,
    /// Regions with this score or more are cut out
    #[arg(long, env, default_value_t = 0.9, value_name = "0..1", value_parser = unit)]
    pub crop_min_score: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    Auto,
    Yes,
    No,
}

impl ModelArgs {
    pub fn kernels(&self) -> Kernels {
        Kernels::Own(self.model_memory, self.model_dtype)
    }

    pub fn model(&self, kernels: Kernels) -> anyhow::Result<Model> {
        let device = rcnn::device(&self.model_device)?;
        let mut model = Model::load_with(&self.model_path, &device, kernels).context("MODEL_PATH (--model)")?;
        match self.snap_to_ink {
            Choice::Yes => model.snap_to_ink = true,
            Choice::No => model.snap_to_ink = false,
            Choice::Auto => {}
        }
        Ok(model)
    }

    pub fn load(&self) -> anyhow::Result<Detector> {
        Ok(Detector::start(self.model(self.kernels())?, self.score_threshold)?)
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Rendering")]
pub struct RenderArgs {
    /// Pixels per PDF point: 1.5 is 108 dpi
    #[arg(long, env, default_value_t = 1.5, value_parser = zoom)]
    pub render_zoom: f32,
    /// Largest page, in megapixels
    #[arg(long, env, default_value_t = 40, value_name = "N")]
    pub render_max_megapixels: u64,
    /// CPU time for one page
    #[arg(long, env, default_value_t = 60, value_name = "SECONDS")]
    pub render_timeout_seconds: u64,
    /// Memory of the process that renders, in MiB of address space
    #[arg(long, env, default_value_t = 1024, value_name = "MIB")]
    pub render_memory_mb: u64,
    /// Pages that a document may have
    #[arg(long, env, default_value_t = 5000, value_name = "N")]
    pub max_pages: u32,
    /// Path of libpdfium.so; found by itself beside the program, in ./lib and in the system's folders
    #[arg(long, env, value_name = "FILE")]
    pub pdfium_lib: Option<PathBuf>,
}

impl RenderArgs {
    /// Fails without libpdfium, for a worker that is to render PDFs.
    pub fn renderer(&self) -> anyhow::Result<Renderer> {
        find_pdfium(self.pdfium_lib.as_deref())?;
        self.renderer_for_anything()
    }

    /// Without libpdfium it opens images only.
    pub fn renderer_for_anything(&self) -> anyhow::Result<Renderer> {
        let limits = render::Limits {
            max_pages: self.max_pages,
            page_pixels: self.render_max_megapixels * 1_000_000,
            page_time: Duration::from_secs(self.render_timeout_seconds.max(1)),
            memory: self.render_memory_mb << 20,
        };
        let program = std::env::current_exe().context("the path of this program")?;
        Ok(Renderer::new(program, find_pdfium(self.pdfium_lib.as_deref()).ok(), limits))
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Keeping the queue small")]
pub struct KeepArgs {
    /// Jobs that are done are kept for this time, with the attempts at them
    #[arg(long, env, default_value_t = 168, value_name = "HOURS")]
    pub keep_done_hours: u64,
    /// Jobs that were given up are kept for this time
    #[arg(long, env, default_value_t = 720, value_name = "HOURS")]
    pub keep_dead_hours: u64,
}

impl KeepArgs {
    pub fn keep(&self) -> Keep {
        let hours = |h: u64| Duration::from_secs(h.saturating_mul(3600).min(3600 * 24 * 365 * 100));
        Keep { done: hours(self.keep_done_hours), dead: hours(self.keep_dead_hours) }
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Worker")]
pub struct WorkerArgs {
    /// Documents at a time, of each of two queues: for any model, and for this model
    #[arg(long, env = "WORKER_CONCURRENCY", default_value_t = 1, value_name = "N")]
    pub concurrency: usize,
    /// A worker that is cut off, or stopped, is taken for dead after this time; one that ended is known to be dead at once
    #[arg(long, env, default_value_t = 45, value_name = "SECONDS")]
    pub worker_silence_seconds: u64,
    /// End, to be started again, after so many documents; 0 for never
    #[arg(long, env, default_value_t = 0, value_name = "N")]
    pub worker_max_documents: usize,
    /// End, to be started again, when a document leaves this process larger than this
    #[arg(long, env, value_name = "MIB")]
    pub worker_max_memory_mb: Option<u64>,
    /// Pages that one job takes; a document with more is shared among workers; 0 for any number
    #[arg(long, env, default_value_t = 32, value_name = "N")]
    pub chunk_pages: u32,
    /// Time that the model may take for one page
    #[arg(long, env, default_value_t = 120, value_name = "SECONDS")]
    pub page_timeout_seconds: u64,
    /// Time for rendering and analyzing all pages of a document, all workers' together
    #[arg(long, env, default_value_t = 14_400, value_name = "SECONDS")]
    pub document_timeout_seconds: u64,
    #[command(flatten)]
    pub keep: KeepArgs,
}

impl WorkerArgs {
    pub fn settings(&self) -> WorkerSettings {
        WorkerSettings {
            concurrency: self.concurrency.max(1),
            silence: Duration::from_secs(self.worker_silence_seconds.max(10)),
            max_documents: (self.worker_max_documents > 0).then_some(self.worker_max_documents),
            max_memory: self.worker_max_memory_mb.map(|mb| mb << 20),
            keep: self.keep.keep(),
        }
    }
}

pub fn pipeline_settings(
    render: &RenderArgs,
    model: &ModelArgs,
    outbound: &OutboundArgs,
    worker: &WorkerArgs,
) -> PipelineSettings {
    PipelineSettings {
        zoom: render.render_zoom,
        crop_min_score: model.crop_min_score,
        max_file: outbound.max_file(),
        chunk_pages: if worker.chunk_pages == 0 { i32::MAX as u32 } else { worker.chunk_pages.min(i32::MAX as u32) },
        page_time: Duration::from_secs(worker.page_timeout_seconds.max(1)),
        document_time: Duration::from_secs(worker.document_timeout_seconds.max(1)),
    }
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

fn unit(text: &str) -> Result<f32, String> {
    in_range(text, 0.0, 1.0)
}

fn zoom(text: &str) -> Result<f32, String> {
    in_range(text, 0.1, 20.0)
}

fn in_range(text: &str, low: f32, high: f32) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (low..=high).contains(&value) { Ok(value) } else { Err(format!("must be between {low} and {high}")) }
}
