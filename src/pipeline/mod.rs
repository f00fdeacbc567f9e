//! One document's way: fetch → render → detect → crop → record, page by page, resumable.

mod analysis;
mod audit;
mod chunk_plan;
mod detector;
mod document;
mod garbage;
mod overlay;
mod page;
mod png;
mod source;
mod webhook_sender;

pub use analysis::{Analysis, Crop, analyze};
pub use audit::{Finding, audit_objects};
pub use detector::{DetectError, Detector};
pub use document::{JobError, Pipeline, PipelineSettings, Processed};
pub use garbage::{remove_garbage, sweep};
pub use webhook_sender::Courier;
