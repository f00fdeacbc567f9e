//! RoI pooling over the pyramid (`detectron2/modeling/poolers.py`, ROIAlignV2).

use candle_core::{DType, Device, Tensor};

use super::Result;
use super::boxes::{Box2, area};
use super::fpn::STRIDES;
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
}

impl Pooler {
    /// Of the boxes in `rows`, from the level of that stride.
    pub(super) fn op(&self, boxes: &[Box2], rows: &[usize], stride: usize) -> RoiAlign {
        RoiAlign {
            rois: rows.iter().map(|&i| boxes[i]).collect(),
            scale: 1.0 / stride as f32,
            resolution: self.resolution,
            sampling_ratio: self.sampling_ratio,
        }
    }

    /// Pools boxes (pixels of the resized image) from p2 … p5: [N, C, R, R].
    pub fn forward(&self, features: &[Tensor], boxes: &[Box2]) -> Result<Tensor> {
        let device = features[0].device();
        let of_level = by_level(boxes);
        let mut parts = vec![];
        for (rows, (feature, stride)) in of_level.iter().zip(features.iter().zip(STRIDES)) {
            if rows.is_empty() {
                continue;
            }
            let op = self.op(boxes, rows, stride);
            // Channels last, so that a sample is one run of memory. [1, C, H, W] → [H, W, C] → [n, R, R, C]
            let channels_last = feature.squeeze(0)?.permute((1, 2, 0))?.to_device(&Device::Cpu)?.contiguous()?;
            parts.push(channels_last.apply_op1_no_bwd(&op)?);
        }
        let pooled = match &parts[..] {
            [] => {
                return Ok(Tensor::zeros(
                    (0, features[0].dim(1)?, self.resolution, self.resolution),
                    DType::F32,
                    device,
                )?);
            }
            [only] => only.clone(),
            _ => {
                // Back to the order in which the boxes came.
                let mut place = vec![0u32; boxes.len()];
                for (at, &row) in of_level.iter().flatten().enumerate() {
                    place[row] = at as u32;
                }
                Tensor::cat(&parts, 0)?.index_select(&Tensor::new(place, &Device::Cpu)?, 0)?
            }
        };
        Ok(pooled.permute((0, 3, 1, 2))?.contiguous()?.to_device(device)?)
    }
}

/// Indices of the boxes that are pooled from p2, p3, p4 and p5.
pub(super) fn by_level(boxes: &[Box2]) -> [Vec<usize>; 4] {
    let mut of_level: [Vec<usize>; 4] = Default::default();
    for (i, b) in boxes.iter().enumerate() {
        of_level[level(b)].push(i);
    }
    of_level
}

/// The pyramid level of a box: 0 for p2 to 3 for p5 (`assign_boxes_to_levels`).
fn level(b: &Box2) -> usize {
    let size = area(b).sqrt();
    let level = (CANONICAL_LEVEL + (size / CANONICAL_BOX_SIZE + 1e-8).log2()).floor();
    level.clamp(2.0, 5.0) as usize - 2
}
