//! The loops that the time goes into, for CPUs: convolutions as matrix products and by Winograd's transform, pooling, RoIAlign.
//!
//! Activations are channels last ([`FeatureMap`]), which is a matrix of pixels as it stands. Weights are packed, and transformed, once. Every layer
//! runs on all of rayon's threads, in the best instruction set of the processor ([`Isa`]): AMX, AVX-512, AVX2 with FMA, NEON, or
//! whatever the compiler makes of plain code. It knows nothing of networks.
#![cfg_attr(not(target_arch = "x86_64"), allow(unreachable_code, unused_variables, reason = "what is for AMX's tiles"))]

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(not(target_arch = "x86_64"))]
#[path = "no_amx.rs"]
mod amx;
mod arena;
mod buffer;
mod conv;
mod dispatch;
mod gemm;
mod map;
mod matmul;
mod packed;
mod parallel;
mod peak;
mod prefetch;
mod resize;
mod roi_align;
mod shape;
mod simd;
mod stem;
mod winograd;

pub use buffer::channel_stride;
pub use conv::{Conv, Options, PostOps, split};
pub use dispatch::vectorized;
pub use map::{FeatureMap, Workspace};
pub use peak::peak;
pub use resize::{add_upsampled, subsample};
pub use roi_align::{RoiAlign, roi_align, roi_align_rows};
pub use shape::Filters;
pub use simd::Isa;
pub use stem::{Image, Stem};
