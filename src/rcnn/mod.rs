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

mod backbone;
mod backend;
mod batch;
pub mod checkpoint;
pub mod config;
mod detection;
mod error;
mod geometry;
pub mod input;
mod layers;
mod meta;
mod model;
mod network;
mod post;
mod proposals;
mod roi_heads;
mod summary;
mod trace;
mod watch;

pub use backend::device::Device;
pub use backend::gpu_info::GpuInfo;
pub use backend::options::{Dtype, Kernels, Memory};
pub use detection::{Detection, Instances, Stage};
pub use error::Error;
pub use geometry::boxes;
pub use input::ModelInput;
pub use model::Model;
pub use post::mask::{self, Rle};
pub use proposals::Proposals;
pub use summary::{Part, Summary, export};
pub use trace::{HostTensor, Trace};
use watch::Watch;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Asked between layers: whether a prediction is to end.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);
