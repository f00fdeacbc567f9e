//! What parent and child say to each other over the child's standard input and output.
//!
//! The parent sends a [`Request`] a line as JSON. The child answers with a length (u32, little end first), a [`Reply`] of that
//! length as JSON, and for a page its pixels: RGB, row by row, without padding. The first reply comes unasked.

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// Page index, from 0.
    pub page: u32,
    /// Pixels per PDF point.
    pub zoom: f32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Opened { pages: u32 },
    Page(PageSize),
    Failed(Failure),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PageSize {
    pub width_px: u32,
    pub height_px: u32,
    /// PDF points, after the page's own rotation.
    pub width_pt: f32,
    pub height_pt: f32,
}

/// What the child itself can tell about a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    Encrypted,
    Damaged,
    NoPages,
    PageTooLarge {
        width_pt: f32,
        height_pt: f32,
        megapixels: u64,
        limit: u64,
    },
    PageDamaged {
        reason: String,
    },
    /// Not the document's fault.
    Setup {
        reason: String,
    },
}
