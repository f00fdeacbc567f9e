use image::RgbImage;

use super::backend::gpu_info::GpuInfo;
use super::detection::Detection;
use super::proposals::Proposals;
use super::trace::Trace;
use super::{Result, Watch};

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
