//! Detectron2's Faster and Mask R-CNN on candle: pixels in, detections out.
//!
//! The layers, their key names and the order of operations follow Detectron2 (`detectron2/modeling`), so a
//! `model_final.pth` and its `config.yaml` give the same numbers here as there, unless the model's folder asks for more
//! ([`Model::snap_to_ink`]). This module knows nothing of documents,
//! queues or storage and can be used on its own:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use docreader::rcnn::{Device, Model};
//! let model = Model::load("models/default".as_ref(), &Device::Cpu)?;
//! let page = image::open("page.png")?.to_rgb8();
//! for d in model.predict(&page, 0.3)? {
//!     println!("{} {:.2} {:?}", model.label(d.class_id), d.score, d.box_px);
//! }
//! # Ok(())
//! # }
//! ```

mod anchors;
#[cfg(feature = "cuda")]
mod batch;
pub mod boxes;
pub mod checkpoint;
pub mod config;
mod config_defaults;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod error;
mod fpn;
mod gpu_info;
pub mod image_input;
mod layers;
pub mod mask;
mod model;
mod network;
mod pooler;
mod resample;
mod resnet;
mod roi_heads;
mod rpn;
mod snap_to_ink;
mod summary;

pub use cpu::{Dtype, Memory};
pub use device::{Device, GpuInfo};
pub use error::Error;
pub use image_input::ModelInput;
pub use mask::Rle;
pub use model::{Detection, Kernels, Model, Stage};
pub use network::{Network, Output};
pub use roi_heads::Instances;
pub use rpn::Proposals;
pub use summary::{Part, Summary, export};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Asked between layers: whether a prediction is to end.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

fn check_cancelled(stop: Stop<'_>) -> Result<()> {
    if stop() { Err(Error::Stopped) } else { Ok(()) }
}
