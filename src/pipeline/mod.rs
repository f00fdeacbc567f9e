//! One document's way: fetch → render → detect → crop → record, page by page, resumable.

mod analysis;
mod audit;
mod courier;
mod detector;
mod document;
mod garbage;
mod overlay;
mod page;
mod png;
mod share;
mod source;

pub use analysis::{Analysis, Crop, analyze};
pub use audit::{Finding, audit};
pub use courier::Courier;
pub use detector::{DetectError, Detector};
pub use document::{JobError, Pipeline, PipelineSettings, Processed};
pub use garbage::{remove_garbage, sweep};
