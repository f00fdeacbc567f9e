use std::time::Duration;

use super::geometry::boxes::Box2;
use super::post::mask::Rle;

/// One region of an image.
#[derive(Debug, Clone)]
pub struct Detection {
    pub class_id: usize,
    pub score: f32,
    /// Pixels of the image that was given.
    pub box_px: Box2,
    pub mask: Option<Rle>,
}

/// What was found in one image, in pixels of the resized image, best first.
#[derive(Debug, Clone, Default)]
pub struct Instances {
    pub boxes: Vec<Box2>,
    pub scores: Vec<f32>,
    pub classes: Vec<usize>,
}

/// A part of a prediction.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    pub name: &'static str,
    pub time: Duration,
    /// Multiplications and additions, in pairs; 0 where they are not counted.
    pub work: u64,
}
