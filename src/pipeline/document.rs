//! A document's job.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::Detector;
use super::chunk_plan::ChunkPlan;
use super::page::{JobContext, Wanted};
use super::source::SourceFile;
use crate::documents::{self, Chunk, Claim, JobLease, PageCounts, RegisteredModel};
use crate::outbound::Outbound;
use crate::render::{RenderError, Renderer};
use crate::storage::Storage;

/// How a job ends when it does not end well.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The worker was asked to stop; another goes on after the last finished page.
    #[error("stopped between pages")]
    Stopped,
    /// The worker was taken for dead and another has the job.
    #[error("another worker has the job")]
    Lost,
    /// The document's own fault, in a sentence for its owner; another attempt would end the same way.
    #[error("{message}")]
    Permanent { code: &'static str, message: String },
    /// The fault of a server that a client named, or of a slow machine: worth another attempt, and if that was the last, the
    /// document's owner is told why.
    #[error("{message}")]
    External { code: &'static str, message: String },
    /// The surroundings' fault: worth another attempt.
    #[error("{0:#}")]
    Transient(#[from] anyhow::Error),
}

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

impl Pipeline {
    /// Processes a document, or a chunk of it, from the first unfinished page on. Running it again, or twice at once, changes
    /// nothing. A large document's first job finds that out and queues the first chunk; each chunk queues the next when it begins.
    #[tracing::instrument(skip_all, fields(document = document_id, chunk = chunk.map(|c| c.number)))]
    pub async fn run(
        &self,
        document_id: i64,
        chunk: Option<Chunk>,
        hold: &JobLease,
        stop: &CancellationToken,
    ) -> Result<Processed, JobError> {
        let claim = documents::claim(&self.pool, document_id, self.model.id, chunk).await.map_err(transient)?;
        let mut processed = Processed { document_id, pages: 0, detections: 0 };
        let Some(claim) = claim else { return Ok(processed) };
        let known = match claim.counted {
            Some(counted) => Some(self.share(document_id, &claim, counted).await?),
            None => None,
        };
        let file = SourceFile::new().map_err(transient)?;
        if !self.fetch(document_id, &claim, file.path(), stop).await? {
            return Ok(processed);
        }
        let mut pdf = self.renderer.open(file.path()).await.map_err(|e| render_error(e, stop))?;
        let share = match known {
            Some(share) => share,
            None => self.count(document_id, &claim, pdf.pages()).await?,
        };
        let work = JobContext { document_id, hold, claim: &claim, file: file.path(), stop };
        if self.pages(work, &mut pdf, share.pages, &mut processed).await? == Wanted::No {
            return Ok(processed);
        }
        documents::finish(&self.pool, document_id, self.model.id, claim.run).await.map_err(transient)?;
        Ok(processed)
    }

    /// Notes what a document's file was found to be.
    async fn count(&self, document_id: i64, claim: &Claim, pages_in_file: u32) -> Result<ChunkPlan, JobError> {
        let counted = PageCounts { pages_in_file, chunk_pages: self.settings.chunk_pages };
        let wanted = ChunkPlan::of(claim, counted)?.wanted;
        documents::set_page_count(&self.pool, document_id, counted, wanted).await.map_err(transient)?;
        self.share(document_id, claim, counted).await
    }

    /// This job's pages; from here on another worker can take the next ones.
    async fn share(&self, document_id: i64, claim: &Claim, counted: PageCounts) -> Result<ChunkPlan, JobError> {
        let share = ChunkPlan::of(claim, counted)?;
        if let Some(next) = share.next {
            documents::enqueue_chunk(&self.pool, document_id, &self.model.name, next).await.map_err(transient)?;
        }
        Ok(share)
    }
}

pub(super) fn transient(error: impl Into<anyhow::Error>) -> JobError {
    JobError::Transient(error.into())
}

/// While we are being stopped, a child that ended proves nothing.
pub(super) fn render_error(error: RenderError, stop: &CancellationToken) -> JobError {
    match error.is_permanent() {
        _ if stop.is_cancelled() => JobError::Stopped,
        true => JobError::Permanent { code: error.code(), message: error.to_string() },
        false => transient(error),
    }
}
