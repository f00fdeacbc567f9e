//! The maps that a backbone makes.

use crate::rcnn::{Error, Result};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureLevel {
    /// As configurations name it: p2 ….
    pub name: String,
    /// Pixels of the network's input per pixel of the map.
    pub stride: usize,
    pub channels: usize,
}

/// The levels that a part of the network reads.
///
/// # Errors
/// [`Error::Unsupported`] where they are not those from the first on.
pub fn pick<'a>(levels: &'a [FeatureLevel], names: &[String], key: &'static str) -> Result<&'a [FeatureLevel]> {
    let first = levels.get(..names.len()).unwrap_or_default();
    match !names.is_empty() && first.iter().map(|level| &level.name).eq(names) {
        true => Ok(first),
        false => Err(Error::Unsupported { key, value: format!("{names:?}"), supported: "p2 and those that follow" }),
    }
}
