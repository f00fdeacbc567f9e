//! Regions that may hold something, whatever its class.

mod rpn;

pub use self::rpn::Rpn;
#[cfg(feature = "cuda")]
pub use self::rpn::RpnDecoder;
use super::geometry::boxes::Box2;

/// Class-agnostic regions in pixels of the resized image, best first, with their objectness logits.
#[derive(Debug, Clone, Default)]
pub struct Proposals {
    pub boxes: Vec<Box2>,
    pub logits: Vec<f32>,
}
