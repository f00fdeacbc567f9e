//! Boxes, anchors, and the maps that they are on.

pub mod anchors;
pub mod boxes;
pub mod level;
pub mod pooler;
