//! A document's job.

use tokio_util::sync::CancellationToken;

use super::chunk_plan::ChunkPlan;
use super::context::{JobContext, Pipeline, Processed, Wanted};
use super::error::{JobError, render_error, transient};
use super::source::SourceFile;
use crate::documents::{self, Chunk, Claim, JobLease, PageCounts};

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
        let claim = documents::claim(&self.pool, document_id, self.model.id, self.detector.threshold(), chunk);
        let claim = claim.await.map_err(transient)?;
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
