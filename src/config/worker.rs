//! How a worker takes jobs, and what one may take.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use super::{ModelArgs, OutboundArgs, RenderArgs};
use crate::pipeline::PipelineSettings;
use crate::queue::{Retention, WorkerSettings};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Keeping the queue small")]
pub struct KeepArgs {
    /// Jobs that are done are kept for this time; attempts at jobs for the longer of this and KEEP_DEAD_HOURS
    #[arg(long, env, default_value_t = 168, value_name = "HOURS")]
    pub keep_done_hours: u64,
    /// Jobs that were given up are kept for this time
    #[arg(long, env, default_value_t = 720, value_name = "HOURS")]
    pub keep_dead_hours: u64,
}

impl KeepArgs {
    pub fn keep(&self) -> Retention {
        let hours = |h: u64| Duration::from_secs(h.saturating_mul(3600).min(3600 * 24 * 365 * 100));
        Retention { done: hours(self.keep_done_hours), dead: hours(self.keep_dead_hours) }
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
    /// Connections to PostgreSQL with which jobs are taken and reported, besides those for documents and one that shows that we live
    #[arg(long, env, default_value = "3", value_name = "N")]
    pub queue_max_connections: NonZeroU32,
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
            queue_connections: self.queue_max_connections.get(),
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
