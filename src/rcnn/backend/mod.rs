//! What a network computes with: the network is written once over these traits, and a back end is one kind of machine.
//!
//! [`Backend`] runs the layers; [`HostBackend`] adds what is needed where results are decoded on the host.
//! A GPU decodes and suppresses where its maps are.

pub mod candle;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod device;
pub mod gpu_info;
pub mod options;

use std::borrow::Cow;
use std::fmt::Debug;

use candle_nn::Linear;
use image::RgbImage;

use super::Result;
use super::config::Config;
use super::geometry::boxes::Box2;
use super::geometry::pooler::Pooler;
use super::layers::Conv;
pub use crate::kernels::PostOps;

/// The part of the network that a layer belongs to, which decides its precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The backbone with its pyramid: what it is off by makes other boxes win in non-maximum suppression.
    Backbone,
    /// The region proposals, and the box and the mask head.
    Heads,
}

/// Packed layers and the maps between them, of shape [N, C, H, W] however they lie in memory.
pub trait Backend: Debug + Send + Sync {
    /// The network's input.
    type Image<'a>;
    type Map: Debug;
    type Conv: Debug + Send + Sync;
    /// The first convolution, with the ReLU and the max-pooling that come then.
    type Stem: Debug + Send + Sync;
    /// Fully connected layers, or 1 × 1 convolutions.
    type Linear: Debug + Send + Sync;

    /// As how many values so many channels of a pixel lie in a map.
    fn padded(channels: usize) -> usize;

    fn pack_conv(&self, conv: Conv, role: Role) -> Result<Self::Conv>;

    fn pack_stem(&self, conv: Conv) -> Result<Self::Stem>;

    /// With `cells`, inputs are flattened maps of so many pixels; `last`: results are predictions, in full precision.
    fn pack_linear(&self, linear: &Linear, cells: Option<usize>, last: bool) -> Result<Self::Linear>;

    /// [1, 3, H, W] → [1, C, H/4, W/4]. `beside` is the layer whose result lies beside it next, if a back end plans for that.
    fn stem(
        &self,
        stem: &Self::Stem,
        image: Self::Image<'_>,
        split: bool,
        beside: Option<(&Self::Conv, bool)>,
    ) -> Result<Self::Map>;

    /// [N, C, H, W] → [N, D, H/s, W/s].
    fn conv(&self, conv: &Self::Conv, x: &Self::Map, post: PostOps<Self::Map>) -> Result<Self::Map>;

    /// The channels of each pixel → `output` channels, or the rows that [`Self::flatten`] makes.
    fn linear(&self, linear: &Self::Linear, x: &Self::Map, relu: bool) -> Result<Self::Map>;

    /// [N, C, R, R] → rows for a [`Self::Linear`] packed with `cells`.
    fn flatten(&self, x: Self::Map) -> Result<Self::Map>;

    /// [N, 4C, H, W] → a row of C for each quarter of a pixel's channels, for a [`Self::Linear`] packed with one cell.
    fn quarters(&self, x: Self::Map) -> Result<Self::Map>;

    /// Adds each pixel of the coarser map to the four that it covers, and halves the sum if `average`.
    fn upsample_add(&self, fine: Self::Map, coarse: &Self::Map, average: bool) -> Result<Self::Map>;

    /// Every second pixel of every second row: max-pooling with a kernel of 1 at stride 2.
    fn subsample(&self, x: &Self::Map) -> Result<Self::Map>;

    /// Whether the layer reads split maps and may make them; see [`PostOps::split`].
    fn reads_split(&self, _conv: &Self::Conv) -> bool {
        false
    }

    fn stem_splits(&self, _stem: &Self::Stem) -> bool {
        false
    }

    /// Keeps room where maps lie in one arena, in which a large one finds it only where others leave together: when this and the maps `beside` are
    /// dropped, their places together hold what `conv` makes of a map like `of`.
    fn reserve(&self, _conv: &Self::Conv, _of: &Self::Map, _beside: &[Self::Map]) -> Result<Option<Self::Map>> {
        Ok(None)
    }
}

/// A map on the host, channels last: `stride` values from one pixel's channels to the next one's, `data` from the first image on.
#[derive(Debug)]
pub struct HostMap<'a> {
    pub data: Cow<'a, [f32]>,
    pub stride: usize,
    pub width: usize,
}

/// What is needed where results are decoded on the host.
pub trait HostBackend: Backend {
    /// The resized and normalised image, and its size in pixels before padding (width, height).
    fn image(&self, image: &RgbImage, config: &Config) -> Result<(Self::Image<'static>, (usize, usize))>;

    /// RoIs pooled from the levels of the pooler, each from the one of its size: [N, C, R, R].
    fn roi_align(&self, pooler: &Pooler, features: &[Self::Map], boxes: &[Box2]) -> Result<Self::Map>;

    fn to_host<'a>(&self, x: &'a Self::Map) -> Result<HostMap<'a>>;

    /// The map's shape, [N, C, H, W].
    fn shape(&self, x: &Self::Map) -> Result<[usize; 4]>;

    /// Multiplications and additions, in pairs, that layers have asked for so far; 0 where they are not counted.
    fn work(&self) -> u64 {
        0
    }

    /// Its name, for people.
    fn name(&self) -> &'static str;
}
