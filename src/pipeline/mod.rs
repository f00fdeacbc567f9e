//! One document's way: fetch → render → detect → crop → record, page by page, resumable.

mod analysis;
mod audit;
mod chunk_plan;
mod context;
mod detector;
mod document;
mod error;
mod garbage;
mod overlay;
mod page;
mod png;
mod source;
mod thumbnail;
mod webhook_sender;

pub use analysis::{Analysis, Crop, analyze};
pub use audit::{Finding, audit_objects};
pub use context::{Pipeline, PipelineSettings, Processed};
pub use detector::{DetectError, Detector};
pub use error::JobError;
pub use garbage::{remove_garbage, sweep};
pub use webhook_sender::Courier;
