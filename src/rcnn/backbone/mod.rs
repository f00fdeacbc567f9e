//! From an image to feature maps.

mod fpn;
mod resnet;

pub use self::fpn::{Fpn, SIZE_DIVISIBILITY};
