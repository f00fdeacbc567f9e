//! Where a model runs.

pub use super::gpu_info::GpuInfo;
use super::{Error, Result};
use crate::kernels::Isa;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    Cpu,
    /// The NVIDIA GPU of that number.
    Cuda(usize),
    /// The GPU's kernels, compiled for the CPU: slow, for tests.
    #[cfg(feature = "cuda")]
    Twin,
}

impl Device {
    /// `MODEL_DEVICE`: `cpu`, `cuda`, or `auto` for a GPU if this build and this machine have one.
    ///
    /// # Errors
    /// [`Error::Device`] with the next step, where `cuda` is asked for and cannot be had.
    pub fn named(name: &str) -> Result<Self> {
        let fail = |reason: String| Err(Error::Device { asked: name.to_owned(), reason });
        match name {
            "cpu" => Ok(Self::Cpu),
            "auto" => Ok(if without_gpu().is_none() { Self::Cuda(0) } else { Self::Cpu }),
            "cuda" => match without_gpu() {
                None => Ok(Self::Cuda(0)),
                Some(reason) => fail(reason),
            },
            #[cfg(feature = "cuda")]
            "twin" => Ok(Self::Twin),
            _ => fail("not a device; use auto, cpu or cuda".into()),
        }
    }
}

impl std::fmt::Display for Device {
    /// For people: the processor, or the GPU with its driver and memory.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => write!(f, "the CPU, {} threads, {}", rayon::current_num_threads(), Isa::best().name()),
            #[cfg(feature = "cuda")]
            Self::Cuda(ordinal) => match super::cuda::info(*ordinal) {
                Ok(gpu) => gpu.fmt(f),
                Err(e) => write!(f, "GPU {ordinal} ({e})"),
            },
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(ordinal) => write!(f, "GPU {ordinal}"),
            #[cfg(feature = "cuda")]
            Self::Twin => write!(f, "the GPU's kernels, compiled for the CPU"),
        }
    }
}

/// Why there is no GPU to be used, with the next step.
fn without_gpu() -> Option<String> {
    #[cfg(feature = "cuda")]
    return super::cuda::missing().map(|reason| format!("{reason}; or use cpu or auto"));
    #[cfg(not(feature = "cuda"))]
    return Some(
        "this app was built without CUDA; build it with scripts/install-cuda.sh and `cargo build --release --features cuda`, or use cpu"
            .into(),
    );
}
