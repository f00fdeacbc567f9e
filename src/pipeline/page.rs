//! A document's pages: while the model is at one, the next is rendered and the one before is cut, encoded, put into the bucket and recorded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::OptionFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::context::{JobContext, Pipeline, Processed, Wanted};
use super::detector::DetectError;
use super::error::{JobError, render_error, transient};
use super::{Analysis, analyze};
use crate::documents::{self, DetectionRow, PageFailure, PageOf, PageResult, Saved};
use crate::rcnn::{self, Detection};
use crate::render::{PageImage, PdfDocument};
use crate::storage::{ObjectKey, page_prefix};

/// A worker that is to stop still finishes a page that takes no longer.
const LAST_PAGE: Duration = Duration::from_secs(6);

struct Rendered {
    number: u32,
    /// A page may fail, and the document goes on.
    picture: Result<Picture, PageFailure>,
    took: Duration,
}

struct Picture {
    image: Arc<image::RgbImage>,
    size_pt: (f32, f32),
}

struct Detected {
    number: u32,
    outcome: Result<(Picture, Vec<Detection>), PageFailure>,
    render_time: Duration,
    detect_time: Duration,
}

/// A picture for the bucket.
struct Object {
    key: ObjectKey,
    content_type: &'static str,
    bytes: Vec<u8>,
}

struct Finished {
    detections: usize,
    took: Duration,
}

impl Pipeline {
    /// Takes pages, but for those that are finished, through the three stages. Whatever goes wrong, what was detected before is recorded.
    pub(super) async fn pages(
        &self,
        work: JobContext<'_>,
        pdf: &mut PdfDocument,
        numbers: Vec<u32>,
        processed: &mut Processed,
    ) -> Result<Wanted, JobError> {
        let finished = |number: &u32| work.claim.finished_pages.contains(&(*number as i32));
        let mut numbers = numbers.into_iter().filter(|number| !finished(number));
        let (mut rendered, mut detected) = (None, None);
        let (mut spent, mut failure) = (work.claim.spent, None);
        loop {
            let next = if failure.is_none() { numbers.next() } else { None };
            if next.is_some() {
                failure = self.reason_to_end(spent, work.stop);
            }
            let next = next.filter(|_| failure.is_none());
            if next.is_none() && rendered.is_none() && detected.is_none() {
                break;
            }
            let (render, detect, finish) = tokio::join!(
                OptionFuture::from(next.map(|number| self.render(work, pdf, number))),
                OptionFuture::from(rendered.take().map(|page| self.detect(work, page))),
                OptionFuture::from(detected.take().map(|page| self.finish(work, page))),
            );
            match finish.transpose()? {
                Some(None) => return Ok(Wanted::No),
                Some(Some(page)) => {
                    processed.pages += 1;
                    processed.detections += page.detections;
                    spent += page.took;
                }
                None => {}
            }
            detected = keep(detect, &mut failure);
            rendered = keep(render, &mut failure);
        }
        failure.map_or(Ok(Wanted::Yes), Err)
    }

    /// Why no further page is begun.
    fn reason_to_end(&self, spent: Duration, stop: &CancellationToken) -> Option<JobError> {
        if stop.is_cancelled() {
            return Some(JobError::Stopped);
        }
        (spent > self.settings.document_time).then(|| {
            let seconds = self.settings.document_time.as_secs();
            let message = format!("The document took longer than {seconds} s (DOCUMENT_TIMEOUT_SECONDS).");
            JobError::Permanent { code: "document_timeout", message }
        })
    }

    async fn render(&self, work: JobContext<'_>, pdf: &mut PdfDocument, number: u32) -> Result<Rendered, JobError> {
        tracing::info!("Running for page {number} of {}", pdf.pages());
        let started = Instant::now();
        let picture = match pdf.render(number, self.settings.zoom).await {
            Ok(PageImage { image, width_pt, height_pt }) => {
                Ok(Picture { image: Arc::new(image), size_pt: (width_pt, height_pt) })
            }
            Err(error) if error.is_of_page() && !work.stop.is_cancelled() => {
                if error.ends_child() {
                    *pdf = self.renderer.open(work.file).await.map_err(|e| render_error(e, work.stop))?;
                }
                Err(PageFailure { code: error.code(), message: error.to_string() })
            }
            Err(error) => return Err(render_error(error, work.stop)),
        };
        Ok(Rendered { number, picture, took: started.elapsed() })
    }

    /// Within the time that a page may take, and within seconds when the worker is to stop.
    async fn detect(&self, work: JobContext<'_>, page: Rendered) -> Result<Detected, JobError> {
        let Rendered { number, picture, took: render_time } = page;
        let started = Instant::now();
        let outcome = match picture {
            Ok(picture) => self.find(work, number, &picture).await?.map(|detections| (picture, detections)),
            Err(failure) => Err(failure),
        };
        Ok(Detected { number, outcome, render_time, detect_time: started.elapsed() })
    }

    async fn find(
        &self,
        work: JobContext<'_>,
        number: u32,
        picture: &Picture,
    ) -> Result<Result<Vec<Detection>, PageFailure>, JobError> {
        let stopped = async {
            work.stop.cancelled().await;
            tokio::time::sleep(LAST_PAGE).await;
        };
        let threshold = work.claim.score_threshold;
        let result = tokio::select! {
            result = self.detector.detect(picture.image.clone(), threshold, self.settings.page_time) => result,
            () = stopped => return Err(JobError::Stopped),
        };
        let (code, message) = match result {
            Ok(detections) => return Ok(Ok(detections)),
            Err(DetectError::TooSlow | DetectError::Hangs) => {
                let seconds = self.settings.page_time.as_secs();
                let message = format!("Page {number} took longer than {seconds} s to analyze (PAGE_TIMEOUT_SECONDS).");
                ("detect_timeout", message)
            }
            Err(DetectError::Model(error @ rcnn::Error::GpuMemory)) => {
                ("gpu_memory", format!("Page {number}: {error}."))
            }
            Err(error) => return Err(transient(error)),
        };
        // A machine may be slow for a while, so it is the page's fault only in the end. A model that hangs would fail the next pages, too.
        match work.hold.last_attempt && !self.detector.hangs() {
            true => Ok(Err(PageFailure { code, message })),
            false => Err(JobError::External { code, message }),
        }
    }

    /// Cuts, encodes, uploads and records, or records why not; `None` if the document is no longer wanted.
    async fn finish(&self, work: JobContext<'_>, detected: Detected) -> Result<Option<Finished>, JobError> {
        let Detected { number, outcome, render_time, detect_time } = detected;
        let of = PageOf {
            hold: work.hold,
            document_id: work.document_id,
            model_id: self.model.id,
            run: work.claim.run,
            number,
        };
        let took = render_time + detect_time;
        let (picture, detections) = match outcome {
            Ok(found) => found,
            Err(failure) => {
                tracing::warn!(page = number, code = failure.code, reason = failure.message, "page failed");
                let saved = documents::save_failed_page(&self.pool, of, &failure, took.as_millis() as u32);
                return match saved.await.map_err(transient)? {
                    Saved::Lost => Err(JobError::Lost),
                    Saved::Unwanted => Ok(None),
                    Saved::Now | Saved::Before => Ok(Some(Finished { detections: 0, took })),
                };
            }
        };
        let ((width_pt, height_pt), (width_px, height_px)) = (picture.size_pt, picture.image.dimensions());
        let (detector, crop_min_score) =
            (self.detector.clone(), work.claim.crop_min_score.unwrap_or(self.settings.crop_min_score));
        let analyzed = move || analyze(&picture.image, picture.size_pt, detections, &detector, crop_min_score);
        let analysis = tokio::task::spawn_blocking(analyzed).await.map_err(transient)?.map_err(transient)?;
        let (found, crops) = (analysis.detections.len(), analysis.crops.len());
        let prefix = page_prefix(work.document_id, work.claim.run, &self.model.slug(), number);
        let (detections, keys) = self.upload(&prefix, analysis).await?;
        let (render_ms, detect_ms) = (render_time.as_millis() as u32, detect_time.as_millis() as u32);
        let result = PageResult {
            width_pt,
            height_pt,
            width_px,
            height_px,
            overlay_key: format!("{prefix}/overlay.png"),
            image_key: format!("{prefix}/page.png"),
            thumbnail_key: format!("{prefix}/thumbnail.jpg"),
            render_ms,
            detect_ms,
            detections,
        };
        match documents::save_page(&self.pool, of, &result).await.map_err(transient)? {
            // The objects stay: whoever has the job puts the same ones there.
            Saved::Lost => return Err(JobError::Lost),
            Saved::Unwanted => {
                for key in &keys {
                    self.storage.delete(key).await.map_err(transient)?;
                }
                return Ok(None);
            }
            Saved::Now | Saved::Before => {}
        }
        tracing::info!(page = number, detections = found, crops, render_ms, detect_ms, "page done");
        Ok(Some(Finished { detections: found, took }))
    }

    /// Puts page, thumbnail, overlay and crops into the bucket; the rows with their crops' keys, and all keys.
    async fn upload(&self, prefix: &str, analysis: Analysis) -> Result<(Vec<DetectionRow>, Vec<ObjectKey>), JobError> {
        let Analysis { mut detections, crops, overlay, image, thumbnail } = analysis;
        let key = |name: &str| ObjectKey::parse(format!("{prefix}/{name}")).map_err(transient);
        let png = |key, bytes| Object { key, content_type: "image/png", bytes };
        let mut objects = vec![
            png(key("overlay.png")?, overlay),
            png(key("page.png")?, image),
            Object { key: key("thumbnail.jpg")?, content_type: "image/jpeg", bytes: thumbnail },
        ];
        for crop in crops {
            let key = key(&format!("crops/{}", crop.file_name))?;
            detections[crop.ordinal].crop_key = Some(key.as_str().to_owned());
            objects.push(png(key, crop.png));
        }
        let keys = objects.iter().map(|object| object.key.clone()).collect();
        let put = |o: Object| async move { self.storage.put(&o.key, &o.bytes, o.content_type).await };
        stream::iter(objects).map(put).buffer_unordered(4).try_collect::<()>().await.map_err(transient)?;
        Ok((detections, keys))
    }
}

/// What a stage made; the first failure is kept.
fn keep<T>(made: Option<Result<T, JobError>>, failure: &mut Option<JobError>) -> Option<T> {
    match made? {
        Ok(made) => Some(made),
        Err(error) => {
            failure.get_or_insert(error);
            None
        }
    }
}
