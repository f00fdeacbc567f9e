//! Boxes and anchors.

pub mod anchors;
pub mod boxes;
