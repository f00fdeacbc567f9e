//! From an image to feature maps.

mod fpn;
mod resnet;

pub use self::fpn::{FeatureLevel, Fpn, SIZE_DIVISIBILITY, pick};
