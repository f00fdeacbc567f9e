//! RoI pooling over the pyramid (`detectron2/modeling/poolers.py`, ROIAlignV2).

use super::boxes::{Box2, area};
use super::level::FeatureLevel;
use crate::kernels::RoiAlign;

/// A box of this size, in pixels, is pooled from `CANONICAL_LEVEL`.
const CANONICAL_BOX_SIZE: f32 = 224.0;
const CANONICAL_LEVEL: f32 = 4.0;

#[derive(Debug)]
pub struct Pooler {
    /// Output side, in cells.
    pub resolution: usize,
    /// Samples per cell and axis; 0 means as many as the cell has feature pixels.
    pub sampling_ratio: usize,
    /// Of the levels that are pooled from, each twice the one before.
    pub strides: Vec<usize>,
}

impl Pooler {
    pub fn new(resolution: usize, sampling_ratio: usize, levels: &[FeatureLevel]) -> Self {
        Self { resolution, sampling_ratio, strides: levels.iter().map(|level| level.stride).collect() }
    }

    /// Of the boxes in `rows`, from the level of that stride.
    pub fn op(&self, boxes: &[Box2], rows: &[usize], stride: usize) -> RoiAlign {
        RoiAlign {
            rois: rows.iter().map(|&i| boxes[i]).collect(),
            scale: 1.0 / stride as f32,
            resolution: self.resolution,
            sampling_ratio: self.sampling_ratio,
        }
    }

    /// For each level the indices of the boxes that are pooled from it, and how.
    pub fn ops(&self, boxes: &[Box2]) -> impl Iterator<Item = (Vec<usize>, RoiAlign)> {
        self.by_level(boxes).into_iter().zip(&self.strides).map(|(rows, &stride)| {
            let op = self.op(boxes, &rows, stride);
            (rows, op)
        })
    }

    /// For each level the indices of its boxes (`assign_boxes_to_levels`).
    pub fn by_level(&self, boxes: &[Box2]) -> Vec<Vec<usize>> {
        let mut of_level = vec![vec![]; self.strides.len()];
        let lowest = self.strides.first().map_or(0.0, |stride| stride.ilog2() as f32);
        let highest = lowest + (of_level.len() as f32 - 1.0).max(0.0);
        for (i, b) in boxes.iter().enumerate() {
            let size = area(b).sqrt();
            let level = (CANONICAL_LEVEL + (size / CANONICAL_BOX_SIZE + 1e-8).log2()).floor();
            if let Some(rows) = of_level.get_mut((level.clamp(lowest, highest) - lowest) as usize) {
                rows.push(i);
            }
        }
        of_level
    }
}
