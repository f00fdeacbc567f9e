//! A document's job.

use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{Analysis, Detector, analyze};
use crate::documents::{self, Claim, Hold, PageRange, PageResult, RegisteredModel, Saved};
use crate::outbound::Outbound;
use crate::render::{PageImage, PdfDocument, RenderError, Renderer};
use crate::storage::{ObjectKey, Storage, page_prefix};

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
    /// The fault of a server that a client named: worth another attempt, and if that was the last, its owner is told why.
    #[error("{message}")]
    Elsewhere { code: &'static str, message: String },
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
    /// Processes a document from its first unfinished page on. Running it again, or twice at once, changes nothing.
    #[tracing::instrument(skip_all, fields(document = document_id))]
    pub async fn run(&self, document_id: i64, hold: &Hold, stop: &CancellationToken) -> Result<Processed, JobError> {
        let claim = documents::claim(&self.pool, document_id, self.model.id).await.map_err(transient)?;
        let mut processed = Processed { document_id, pages: 0, detections: 0 };
        let Some(claim) = claim else { return Ok(processed) };
        let folder = tempfile::tempdir().map_err(transient)?;
        let path = folder.path().join("document.pdf");
        if !self.fetch(document_id, &claim, &path, stop).await? {
            return Ok(processed);
        }
        let mut pdf = self.renderer.open(&path).await.map_err(|e| render_error(e, stop))?;
        // The child has the file open; a worker that is killed from here on leaves nothing behind.
        drop(folder);
        let pages = pdf.pages();
        let wanted = wanted_pages(&claim, pages)?;
        let count = wanted.len() as u32;
        documents::set_page_count(&self.pool, document_id, pages, count).await.map_err(transient)?;
        for number in wanted {
            if claim.finished_pages.contains(&(number as i32)) {
                continue;
            }
            if stop.is_cancelled() {
                return Err(JobError::Stopped);
            }
            tracing::info!("Running for page {number} of {pages}");
            let Some(found) = self.page(document_id, hold, &claim, &mut pdf, number, stop).await? else {
                return Ok(processed);
            };
            processed.pages += 1;
            processed.detections += found;
        }
        documents::finish(&self.pool, document_id, self.model.id).await.map_err(transient)?;
        Ok(processed)
    }

    /// Renders, detects, uploads and records one page; the number of detections, or `None` if the document is no longer wanted.
    async fn page(
        &self,
        document_id: i64,
        hold: &Hold,
        claim: &Claim,
        pdf: &mut PdfDocument,
        number: u32,
        stop: &CancellationToken,
    ) -> Result<Option<usize>, JobError> {
        let started = Instant::now();
        let PageImage { image, width_pt, height_pt } =
            pdf.render(number, self.settings.zoom).await.map_err(|e| render_error(e, stop))?;
        let render_ms = started.elapsed().as_millis() as u32;
        let image = Arc::new(image);
        let started = Instant::now();
        let detections = self.detector.detect(image.clone(), claim.score_threshold).await.map_err(transient)?;
        let detect_ms = started.elapsed().as_millis() as u32;
        let (detector, crop_min_score) =
            (self.detector.clone(), claim.crop_min_score.unwrap_or(self.settings.crop_min_score));
        let (width_px, height_px) = image.dimensions();
        let analyzed = move || analyze(&image, (width_pt, height_pt), detections, &detector, crop_min_score);
        let analysis = tokio::task::spawn_blocking(analyzed).await.map_err(transient)?.map_err(transient)?;
        let found = analysis.detections.len();
        let crops = analysis.crops.len();

        let prefix = page_prefix(document_id, &self.model.slug(), number);
        let (detections, keys) = self.upload(&prefix, analysis).await?;
        let (overlay_key, image_key) = (format!("{prefix}/overlay.png"), format!("{prefix}/page.png"));
        let result = PageResult {
            number,
            width_pt,
            height_pt,
            width_px,
            height_px,
            overlay_key,
            image_key,
            render_ms,
            detect_ms,
            detections,
        };
        let saved =
            documents::save_page(&self.pool, hold, document_id, self.model.id, &result).await.map_err(transient)?;
        if saved == Saved::Lost {
            // The objects stay: whoever has the job puts the same ones there.
            return Err(JobError::Lost);
        }
        if saved == Saved::Unwanted {
            for key in &keys {
                self.storage.delete(key).await.map_err(transient)?;
            }
            return Ok(None);
        }
        tracing::info!(page = number, detections = found, crops, render_ms, detect_ms, "page done");
        Ok(Some(found))
    }

    /// Puts page, overlay and crops into the bucket; the rows with their crops' keys, and all keys.
    async fn upload(
        &self,
        prefix: &str,
        analysis: Analysis,
    ) -> Result<(Vec<documents::DetectionRow>, Vec<ObjectKey>), JobError> {
        let Analysis { mut detections, crops, overlay, image } = analysis;
        let key = |name: &str| ObjectKey::parse(format!("{prefix}/{name}")).map_err(transient);
        let mut objects = vec![(key("overlay.png")?, overlay), (key("page.png")?, image)];
        for crop in crops {
            let key = key(&format!("crops/{}", crop.file_name))?;
            detections[crop.ordinal].crop_key = Some(key.as_str().to_owned());
            objects.push((key, crop.png));
        }
        let keys = objects.iter().map(|(key, _)| key.clone()).collect();
        let put = |(key, png): (ObjectKey, Vec<u8>)| async move { self.storage.put(&key, &png, "image/png").await };
        stream::iter(objects).map(put).buffer_unordered(4).try_collect::<()>().await.map_err(transient)?;
        Ok((detections, keys))
    }
}

/// Numbers of the pages that were asked for and that the file has.
fn wanted_pages(claim: &Claim, pages: u32) -> Result<Vec<u32>, JobError> {
    let wrong = |message: String| JobError::Permanent { code: "page_range_empty", message };
    let range = claim.page_range.as_deref().map(PageRange::parse).transpose().map_err(|e| wrong(e.to_string()))?;
    let wanted: Vec<u32> = (1..=pages).filter(|&n| range.as_ref().is_none_or(|r| r.contains(n))).collect();
    match range {
        Some(range) if wanted.is_empty() => {
            Err(wrong(format!("The PDF has {pages} pages, none of which is in the range {range} that was asked for.")))
        }
        _ => Ok(wanted),
    }
}

pub(super) fn transient(error: impl Into<anyhow::Error>) -> JobError {
    JobError::Transient(error.into())
}

/// While we are being stopped, a child that ended proves nothing.
fn render_error(error: RenderError, stop: &CancellationToken) -> JobError {
    match error.is_permanent() {
        _ if stop.is_cancelled() => JobError::Stopped,
        true => JobError::Permanent { code: error.code(), message: error.to_string() },
        false => transient(error),
    }
}
