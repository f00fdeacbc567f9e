//! What a network is put together of, and in which order (`detectron2/modeling/meta_arch`).

mod generalized_rcnn;

use std::sync::Arc;

pub use self::generalized_rcnn::GeneralizedRcnn;
#[cfg(not(feature = "cuda"))]
use super::Error;
use super::Result;
use super::backend::candle::Candle;
use super::backend::cpu::Cpu;
#[cfg(feature = "cuda")]
use super::backend::cuda::Cuda;
use super::backend::device::Device;
use super::backend::options::{Dtype, Kernels};
use super::checkpoint::{Checkpoint, var_builder};
use super::config::{Config, only};
use super::network::Network;

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
