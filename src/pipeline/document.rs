//! A document's job.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use image::RgbImage;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::detector::DetectError;
use super::share::Share;
use super::source::SourceFile;
use super::{Analysis, Detector, analyze};
use crate::documents::{self, Chunk, Claim, Counted, Hold, PageResult, RegisteredModel, Saved};
use crate::outbound::Outbound;
use crate::rcnn::Detection;
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
    /// The fault of a server that a client named, or of a slow machine: worth another attempt, and if that was the last, the
    /// document's owner is told why.
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
    /// Pages that one job takes; a document with more is shared among workers.
    pub chunk_pages: u32,
    /// For the model, on one page.
    pub page_time: Duration,
    /// For rendering and detection of all pages together.
    pub document_time: Duration,
}

/// A worker that is to stop still finishes a page that takes no longer.
const LAST_PAGE: Duration = Duration::from_secs(6);

struct FinishedPage {
    detections: usize,
    took: Duration,
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
        hold: &Hold,
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
        drop(file);
        let share = match known {
            Some(share) => share,
            None => self.count(document_id, &claim, pdf.pages()).await?,
        };
        let mut spent = claim.spent;
        for number in share.pages {
            if claim.finished_pages.contains(&(number as i32)) {
                continue;
            }
            if stop.is_cancelled() {
                return Err(JobError::Stopped);
            }
            if spent > self.settings.document_time {
                let seconds = self.settings.document_time.as_secs();
                let message = format!("The document took longer than {seconds} s (DOCUMENT_TIMEOUT_SECONDS).");
                return Err(JobError::Permanent { code: "document_timeout", message });
            }
            tracing::info!("Running for page {number} of {}", pdf.pages());
            let Some(page) = self.page(document_id, hold, &claim, &mut pdf, number, stop).await? else {
                return Ok(processed);
            };
            processed.pages += 1;
            processed.detections += page.detections;
            spent += page.took;
        }
        documents::finish(&self.pool, document_id, self.model.id).await.map_err(transient)?;
        Ok(processed)
    }

    /// Notes what a document's file was found to be.
    async fn count(&self, document_id: i64, claim: &Claim, pages_in_file: u32) -> Result<Share, JobError> {
        let counted = Counted { pages_in_file, chunk_pages: self.settings.chunk_pages };
        let wanted = Share::of(claim, counted)?.wanted;
        documents::set_page_count(&self.pool, document_id, counted, wanted).await.map_err(transient)?;
        self.share(document_id, claim, counted).await
    }

    /// This job's pages; from here on another worker can take the next ones.
    async fn share(&self, document_id: i64, claim: &Claim, counted: Counted) -> Result<Share, JobError> {
        let share = Share::of(claim, counted)?;
        if let Some(next) = share.next {
            documents::enqueue_chunk(&self.pool, document_id, &self.model.name, next).await.map_err(transient)?;
        }
        Ok(share)
    }

    /// Renders, detects, uploads and records one page; `None` if the document is no longer wanted.
    async fn page(
        &self,
        document_id: i64,
        hold: &Hold,
        claim: &Claim,
        pdf: &mut PdfDocument,
        number: u32,
        stop: &CancellationToken,
    ) -> Result<Option<FinishedPage>, JobError> {
        let started = Instant::now();
        let PageImage { image, width_pt, height_pt } =
            pdf.render(number, self.settings.zoom).await.map_err(|e| render_error(e, stop))?;
        let render_time = started.elapsed();
        let image = Arc::new(image);
        let started = Instant::now();
        let detections = self.detect(&image, number, claim.score_threshold, stop).await?;
        let detect_time = started.elapsed();
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
        let (render_ms, detect_ms) = (render_time.as_millis() as u32, detect_time.as_millis() as u32);
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
        Ok(Some(FinishedPage { detections: found, took: render_time + detect_time }))
    }

    /// Within the time that a page may take, and within seconds when the worker is to stop.
    async fn detect(
        &self,
        image: &Arc<RgbImage>,
        number: u32,
        threshold: Option<f32>,
        stop: &CancellationToken,
    ) -> Result<Vec<Detection>, JobError> {
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_PAGE).await;
        };
        let result = tokio::select! {
            result = self.detector.detect(image.clone(), threshold, self.settings.page_time) => result,
            () = stopped => return Err(JobError::Stopped),
        };
        result.map_err(|error| match error {
            DetectError::TooSlow | DetectError::Hangs => {
                let seconds = self.settings.page_time.as_secs();
                let message = format!("Page {number} took longer than {seconds} s to analyze (PAGE_TIMEOUT_SECONDS).");
                JobError::Elsewhere { code: "detect_timeout", message }
            }
            error => transient(error),
        })
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
