//! A document's job.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{Analysis, Detector, analyze};
use crate::documents::{self, Claim, FileFacts, PageRange, PageResult, RegisteredModel, Saved};
use crate::render::{PageImage, PdfDocument, RenderError, Renderer};
use crate::storage::{ObjectKey, Storage, StorageError, page_prefix};

/// How a job ends when it does not end well.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The worker was asked to stop; another goes on after the last finished page.
    #[error("stopped between pages")]
    Stopped,
    /// The document's own fault, in a sentence for its owner; another attempt would end the same way.
    #[error("{message}")]
    Permanent { code: &'static str, message: String },
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
}

pub struct Pipeline {
    pub pool: PgPool,
    pub storage: Storage,
    pub renderer: Renderer,
    pub detector: Detector,
    pub model: RegisteredModel,
    pub settings: PipelineSettings,
}

impl Pipeline {
    /// Processes a document from its first unfinished page on. Running it again, or twice at once, changes nothing.
    #[tracing::instrument(skip_all, fields(document = document_id))]
    pub async fn run(&self, document_id: i64, stop: &CancellationToken) -> Result<Processed, JobError> {
        let claim = documents::claim(&self.pool, document_id, self.model.id).await.map_err(transient)?;
        let mut processed = Processed { document_id, pages: 0, detections: 0 };
        let Some(claim) = claim else { return Ok(processed) };
        let folder = tempfile::tempdir().map_err(transient)?;
        let path = folder.path().join("document.pdf");
        self.fetch(&claim.object_key, &path).await?;
        let mut pdf = self.renderer.open(&path).await.map_err(|e| render_error(e, stop))?;
        let pages = pdf.pages();
        let wanted = wanted_pages(&claim, pages)?;
        let (size, sha256) = digest(&path).await?;
        let facts = FileFacts { pages_in_file: pages, page_count: wanted.len() as u32, size, sha256 };
        documents::set_file_facts(&self.pool, document_id, &facts).await.map_err(transient)?;
        for number in wanted {
            if claim.finished_pages.contains(&(number as i32)) {
                continue;
            }
            if stop.is_cancelled() {
                return Err(JobError::Stopped);
            }
            tracing::info!("Running for page {number} of {pages}");
            let Some(found) = self.page(document_id, &claim, &mut pdf, number, stop).await? else {
                return Ok(processed);
            };
            processed.pages += 1;
            processed.detections += found;
        }
        documents::finish(&self.pool, document_id, self.model.id).await.map_err(transient)?;
        Ok(processed)
    }

    async fn fetch(&self, key: &str, path: &Path) -> Result<(), JobError> {
        let permanent = |what: &str| JobError::Permanent {
            code: "file_missing",
            message: format!("The uploaded file {what}: {key}"),
        };
        let object = ObjectKey::parse(key).map_err(|_| permanent("has a key that no object can have"))?;
        match self.storage.fetch(&object, path).await {
            Ok(_) => Ok(()),
            Err(StorageError::NotFound(_)) => Err(permanent("is not in the bucket")),
            Err(e) => Err(transient(e)),
        }
    }

    /// Renders, detects, uploads and records one page; the number of detections, or `None` if the document is no longer wanted.
    async fn page(
        &self,
        document_id: i64,
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
        let saved = documents::save_page(&self.pool, document_id, self.model.id, &result).await.map_err(transient)?;
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

fn transient(error: impl Into<anyhow::Error>) -> JobError {
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

/// Size and SHA-256 of a local file.
async fn digest(path: &Path) -> Result<(u64, String), JobError> {
    let path = path.to_owned();
    let read = move || -> std::io::Result<_> {
        let mut hash = Sha256::new();
        let size = std::io::copy(&mut std::fs::File::open(path)?, &mut hash)?;
        Ok((size, hex::encode(hash.finalize())))
    };
    tokio::task::spawn_blocking(read).await.map_err(transient)?.map_err(transient)
}
