//! Anchors (`detectron2/modeling/anchor_generator.py`, `DefaultAnchorGenerator`).

use super::boxes::Box2;
use crate::rcnn::config::AnchorGenerator;
use crate::rcnn::{Error, Result};

/// The anchors of one level, as offsets that are shifted over its grid.
#[derive(Debug, Clone)]
pub struct LevelAnchors {
    pub cells: Vec<Box2>,
    pub stride: f32,
    /// In cells.
    pub offset: f32,
}

impl LevelAnchors {
    /// One list of sizes and of ratios per level; a list that stands alone serves all levels.
    pub fn for_levels(cfg: &AnchorGenerator, strides: impl ExactSizeIterator<Item = usize>) -> Result<Vec<Self>> {
        let levels = strides.len();
        if ![1, levels].contains(&cfg.sizes.len()) || ![1, levels].contains(&cfg.aspect_ratios.len()) {
            return Err(Error::Config(format!(
                "MODEL.ANCHOR_GENERATOR needs one list of sizes and ratios, or one for each of the {levels} RPN.IN_FEATURES"
            )));
        }
        let pick = |lists: &[Vec<f32>], level: usize| lists[if lists.len() == 1 { 0 } else { level }].clone();
        let level = |(i, stride): (usize, usize)| Self {
            cells: cell_anchors(&pick(&cfg.sizes, i), &pick(&cfg.aspect_ratios, i)),
            stride: stride as f32,
            offset: cfg.offset,
        };
        Ok(strides.enumerate().map(level).collect())
    }

    /// Anchors at each place of the grid.
    pub fn per_cell(&self) -> usize {
        self.cells.len()
    }

    /// The anchor `a` at row `y`, column `x`, in pixels of the network's input.
    pub fn at(&self, y: usize, x: usize, a: usize) -> Box2 {
        let (dx, dy) = ((x as f32 + self.offset) * self.stride, (y as f32 + self.offset) * self.stride);
        let c = &self.cells[a];
        [c[0] + dx, c[1] + dy, c[2] + dx, c[3] + dy]
    }
}

/// Centred on 0; ratio is height over width. Computed in f64 as Python does, then stored as f32.
fn cell_anchors(sizes: &[f32], ratios: &[f32]) -> Vec<Box2> {
    let mut cells = vec![];
    for &size in sizes {
        let area = f64::from(size).powi(2);
        for &ratio in ratios {
            let w = (area / f64::from(ratio)).sqrt();
            let h = f64::from(ratio) * w;
            cells.push([-w / 2.0, -h / 2.0, w / 2.0, h / 2.0].map(|v| v as f32));
        }
    }
    cells
}
