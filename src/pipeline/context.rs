//! What a job runs with, and what it has done.

use std::path::Path;
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::Detector;
use crate::documents::{Claim, JobLease, RegisteredModel};
use crate::outbound::Outbound;
use crate::render::Renderer;
use crate::storage::Storage;

/// What a job has done.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct Processed {
    pub document_id: i64,
    /// 0 if the document needed no work: it is gone, canceled or finished.
    pub pages: u32,
    pub detections: usize,
}

#[derive(Debug, Clone, Copy)]
pub struct PipelineSettings {
    /// Pixels per PDF point.
    pub zoom: f32,
    /// Regions with this score or more are cut out.
    pub crop_min_score: f32,
    /// Bytes that a file at a URL may have.
    pub max_file: u64,
    /// Pages that one job takes; a document with more is shared among workers.
    pub chunk_pages: u32,
    /// For the model, on one page.
    pub page_time: Duration,
    /// For rendering and detection of all pages together.
    pub document_time: Duration,
}

pub struct Pipeline {
    pub pool: PgPool,
    pub storage: Storage,
    pub outbound: Outbound,
    pub renderer: Renderer,
    pub detector: Detector,
    pub model: RegisteredModel,
    pub settings: PipelineSettings,
}

/// What is to be done, and for whom.
#[derive(Clone, Copy)]
pub(super) struct JobContext<'a> {
    pub document_id: i64,
    pub hold: &'a JobLease,
    pub claim: &'a Claim,
    /// The document's file.
    pub file: &'a Path,
    pub stop: &'a CancellationToken,
}

/// Whether the document still wants what is done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Yes,
    No,
}
