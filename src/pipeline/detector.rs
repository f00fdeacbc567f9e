//! The model on a thread of its own, so that its long computations never hold up the async runtime. On a GPU it takes the pages that
//! are waiting, of as many documents as the worker has in hand, together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use image::RgbImage;
use tokio::sync::{mpsc, oneshot};

use crate::rcnn::{self, Detection, Model};

#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    #[error(transparent)]
    Model(#[from] rcnn::Error),
    #[error("the model panicked on this page: {0}")]
    Panic(String),
    #[error("the model's thread has ended")]
    Gone,
    #[error("the page took too long")]
    TooSlow,
    #[error("the model does not stop")]
    Hangs,
}

/// After its time is over, the model has this long to notice.
const NOTICE: Duration = Duration::from_secs(30);

struct Request {
    image: Arc<RgbImage>,
    threshold: f32,
    time: Duration,
    started: oneshot::Sender<()>,
    answer: oneshot::Sender<Result<Vec<Detection>, DetectError>>,
}

impl Request {
    /// One that nobody waits for any more is not begun.
    fn begin(self) -> Option<Begun> {
        let Self { image, time, started, answer, .. } = self;
        started.send(()).ok()?;
        Some(Begun { image, until: Instant::now() + time, answer })
    }
}

struct Begun {
    image: Arc<RgbImage>,
    until: Instant,
    answer: oneshot::Sender<Result<Vec<Detection>, DetectError>>,
}

/// Runs the model on a batch, until all of its pages are answered, or nobody waits for any of them.
fn answer(model: &Model, batch: Vec<Begun>, threshold: f32) {
    let images: Vec<&RgbImage> = batch.iter().map(|page| &*page.image).collect();
    let stop = || batch.iter().all(|page| page.answer.is_closed() || Instant::now() > page.until);
    let results = match catch_unwind(AssertUnwindSafe(|| model.predict_batch(&images, threshold, &stop))) {
        Ok(results) => results.into_iter().map(|result| result.map_err(DetectError::from)).collect(),
        Err(panic) => {
            let message = panic_message(&*panic);
            batch.iter().map(|_| Err(DetectError::Panic(message.clone()))).collect::<Vec<_>>()
        }
    };
    for (page, result) in batch.into_iter().zip(results) {
        let result = result.map_err(|e| match e {
            DetectError::Model(rcnn::Error::Stopped) => DetectError::TooSlow,
            other => other,
        });
        // A worker that has stopped waiting needs no answer.
        let _ = page.answer.send(result);
    }
}

/// A handle to the model's thread; clones share it. The thread ends with the last handle.
#[derive(Clone)]
pub struct Detector {
    requests: mpsc::Sender<Request>,
    name: Arc<str>,
    sha256: Arc<str>,
    classes: Arc<[String]>,
    device: Arc<str>,
    threshold: f32,
    hangs: Arc<AtomicBool>,
}

impl Detector {
    /// Moves the model to its thread. Detections with scores above `threshold` are reported, unless a request says otherwise.
    pub fn start(model: Model, threshold: f32) -> std::io::Result<Self> {
        let (requests, mut queue) = mpsc::channel::<Request>(model.batch());
        let handle = Self {
            requests,
            name: model.name.as_str().into(),
            sha256: model.sha256.as_str().into(),
            classes: model.classes.clone().into(),
            device: model.device_name().into(),
            threshold,
            hangs: Arc::default(),
        };
        std::thread::Builder::new().name("model".into()).spawn(move || {
            while let Some(first) = queue.blocking_recv() {
                let threshold = first.threshold;
                let mut batch: Vec<Begun> = first.begin().into_iter().collect();
                let mut other = None;
                while batch.len() < model.batch() && other.is_none() {
                    match queue.try_recv() {
                        Ok(request) if request.threshold == threshold => batch.extend(request.begin()),
                        Ok(request) => other = Some(request),
                        Err(_) => break,
                    }
                }
                answer(&model, batch, threshold);
                if let Some(request) = other {
                    let threshold = request.threshold;
                    answer(&model, request.begin().into_iter().collect(), threshold);
                }
            }
            if model.gpu().is_some() {
                // The process ends, and takes the GPU's memory with it; whoever frees it meanwhile calls a driver that is being unloaded.
                std::mem::forget(model);
            }
        })?;
        Ok(handle)
    }

    /// Detections with scores above `threshold`, or above the one that was set at the start. The model has `time` from when it
    /// begins; it also stops when the returned future is dropped.
    pub async fn detect(
        &self,
        image: Arc<RgbImage>,
        threshold: Option<f32>,
        time: Duration,
    ) -> Result<Vec<Detection>, DetectError> {
        let threshold = threshold.unwrap_or(self.threshold);
        let (started, begun) = oneshot::channel();
        let (answer, result) = oneshot::channel();
        let request = Request { image, threshold, time, started, answer };
        self.requests.send(request).await.map_err(|_| DetectError::Gone)?;
        begun.await.map_err(|_| DetectError::Gone)?;
        match tokio::time::timeout(time + NOTICE, result).await {
            Ok(result) => result.map_err(|_| DetectError::Gone)?,
            Err(_elapsed) => {
                self.hangs.store(true, Ordering::Relaxed);
                Err(DetectError::Hangs)
            }
        }
    }

    /// The model's thread did not stop when it was told to: only the end of the process can help.
    pub fn hangs(&self) -> bool {
        self.hangs.load(Ordering::Relaxed)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the model runs on, for people.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Detections with lower scores are not reported, unless a request says otherwise.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    pub fn label(&self, class_id: usize) -> &str {
        self.classes.get(class_id).map_or("unknown", String::as_str)
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no message").to_owned()
}
