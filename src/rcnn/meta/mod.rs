//! What a network is put together of, and in which order (`detectron2/modeling/meta_arch`).

mod generalized_rcnn;

use std::sync::Arc;

use image::RgbImage;

pub use self::generalized_rcnn::GeneralizedRcnn;
#[cfg(not(feature = "cuda"))]
use super::Error;
use super::backend::candle::Candle;
use super::backend::cpu::Cpu;
#[cfg(feature = "cuda")]
use super::backend::cuda::Cuda;
use super::backend::device::{Device, GpuInfo};
use super::backend::options::{Dtype, Kernels};
use super::checkpoint::{Checkpoint, var_builder};
use super::config::{Config, only};
use super::detection::Detection;
use super::trace::Trace;
use super::{Proposals, Result, Watch};

/// `MODEL.META_ARCHITECTURE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaArchitecture {
    /// Faster and Mask R-CNN.
    GeneralizedRcnn,
}

impl MetaArchitecture {
    /// # Errors
    /// [`Error::Unsupported`] with the key of what does not run.
    pub fn of(config: &Config) -> Result<Self> {
        only("MODEL.META_ARCHITECTURE", &config.model.meta_architecture, "GeneralizedRCNN")?;
        Ok(Self::GeneralizedRcnn)
    }
}

/// A network on some back end.
pub trait Network: Send + Sync {
    /// Detections with scores above `threshold`, best first, of images that all have the same size.
    fn detect(&self, images: &[&RgbImage], threshold: f32, watch: &mut Watch<'_>) -> Result<Vec<Vec<Detection>>>;

    /// What each stage makes of an image; heads take `proposals` if they are given.
    fn trace(&self, image: &RgbImage, threshold: f32, proposals: Option<&Proposals>) -> Result<Trace>;

    /// Whether several images at a time are faster than one after the other.
    fn takes_batches(&self) -> bool {
        false
    }

    /// Multiplications and additions, in pairs, that layers have asked for so far; 0 where they are not counted.
    fn work(&self) -> u64 {
        0
    }

    /// The GPU that it runs on, if it does.
    fn gpu(&self) -> Option<GpuInfo> {
        None
    }

    /// Bytes of the GPU's memory that were in use at most; 0 on a CPU.
    fn gpu_peak_memory(&self) -> usize {
        0
    }

    /// What multiplies, for people.
    fn backend_name(&self) -> &'static str;
}

/// Puts a network together on the back end for a device.
pub fn load(
    config: &Config,
    checkpoint: &Arc<Checkpoint>,
    device: &Device,
    kernels: Kernels,
) -> Result<Box<dyn Network>> {
    let vb = var_builder(checkpoint.clone(), &candle_core::Device::Cpu);
    let MetaArchitecture::GeneralizedRcnn = MetaArchitecture::of(config)?;
    match (device, kernels) {
        (Device::Cpu, Kernels::Own(memory, dtype)) if Cpu::can_run(config) => {
            Ok(Box::new(GeneralizedRcnn::load(Cpu::new(memory, dtype), config, vb)?))
        }
        (Device::Cpu, _) => {
            if !matches!(kernels, Kernels::Candle | Kernels::Own(_, Dtype::F32)) {
                tracing::warn!("bf16 and f16 are not for this network on a CPU: computing in f32");
            }
            Ok(Box::new(GeneralizedRcnn::load(Candle, config, vb)?))
        }
        #[cfg(feature = "cuda")]
        (Device::Cuda(ordinal), kernels) => Ok(Box::new(Cuda::load(config, vb, *ordinal, kernels.dtype().into())?)),
        #[cfg(feature = "cuda")]
        (Device::Twin, kernels) => Ok(Box::new(Cuda::twin(config, vb, kernels.dtype().into())?)),
        #[cfg(not(feature = "cuda"))]
        (Device::Cuda(_), _) => {
            Err(Error::Device { asked: "cuda".into(), reason: "this app was built without CUDA".into() })
        }
    }
}
