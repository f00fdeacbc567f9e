//! The mask head (`MaskRCNNConvUpsampleHead`), and its masks as run lengths of the page.

use candle_nn::ConvTranspose2d;
use rayon::prelude::*;

use super::Dtype;
use super::dense::Dense;
use super::heads::Found;
use super::input::Loaded;
use super::layer::{FeatureMap, Ops, padded};
use super::params::{MASK_RUNS_SHARED, MaskProbabilitiesParams, MaskRoisParams, MaskRunsParams, THREADS};
use super::runtime::Buffer;
use crate::rcnn::layers::{Conv, with_filters, with_values};
use crate::rcnn::post::mask::Rle;
use crate::rcnn::roi_heads::MaskHead;
use crate::rcnn::{Result, Watch};

/// Regions that the head takes at once; it bounds the memory of its maps.
const CHUNK: usize = 1024;
/// Ends of runs that room is made for, for each mask; where there are more, all are counted again.
const BOUNDS: usize = 4096;

/// The transposed convolution as a product: for each cell the four that come of it; and what reads these.
#[derive(Debug)]
pub(super) struct MaskPredictor {
    deconv: Dense,
    predictor: Dense,
}

/// The detections of all images, one behind the other.
struct Packed {
    boxes: Buffer,
    images: Buffer,
    classes: Buffer,
    total: Buffer,
}

impl MaskPredictor {
    pub fn pack(ops: &Ops, deconv: &ConvTranspose2d, predictor: &Conv) -> Result<Self> {
        let (inputs, outputs, _, _) = deconv.weight().dims4()?;
        let bias = deconv.bias().map(|b| b.to_vec1::<f32>()).transpose()?.unwrap_or_else(|| vec![0.0; outputs]);
        let width = padded(outputs);
        let of_quarters: Vec<f32> = (0..4 * width).map(|o| bias.get(o % width).copied().unwrap_or(0.0)).collect();
        let deconv = with_values(deconv.weight(), |weight| {
            Dense::pack(ops, padded(inputs), &of_quarters, ops.dtype, |k, o| match o % width {
                channel if channel < outputs && k < inputs => weight[(k * outputs + channel) * 4 + o / width],
                _ => 0.0,
            })
        })??;
        let predictor = with_filters(predictor, |f| {
            let at = |k: usize, o: usize| if k < f.input { f.weight[o * f.input + k] } else { 0.0 };
            Dense::pack(ops, width, f.bias, Dtype::F32, at)
        })??;
        Ok(Self { deconv, predictor })
    }
}

impl MaskHead<Ops> {
    /// The masks of all detections, image after image.
    pub(super) fn find(
        &self,
        ops: &Ops,
        features: &[FeatureMap],
        (found, counts): (&Found, &[usize]),
        images: &Loaded,
        watch: &Watch<'_>,
    ) -> Result<Vec<Rle>> {
        let total = counts.iter().sum();
        if total == 0 {
            return Ok(vec![]);
        }
        let packed = pack_rois(ops, found)?;
        let side = self.side();
        let masks = ops.context.buffer(total * side * side * 4)?;
        for first in (0..total).step_by(CHUNK) {
            let count = CHUNK.min(total - first);
            let x = self.pool(ops, features, &packed, (first, count))?;
            let x = self.features(ops, x, watch)?;
            self.probabilities(ops, &x, &packed, (first, count), &masks)?;
        }
        paste(ops, &packed, &masks, (total, side), images)
    }

    /// Of the detections `first` to `first + count`.
    fn pool(
        &self,
        ops: &Ops,
        features: &[FeatureMap],
        packed: &Packed,
        (first, count): (usize, usize),
    ) -> Result<FeatureMap> {
        let there = ops.context.upload(&[count as i32])?;
        let places = (part(&packed.boxes, first, 16), there.address, part(&packed.images, first, 4));
        ops.pool(&self.pooler, features, places, 1, count)
    }

    fn probabilities(
        &self,
        ops: &Ops,
        x: &FeatureMap,
        packed: &Packed,
        (first, count): (usize, usize),
        masks: &Buffer,
    ) -> Result<()> {
        let side = self.pooler.resolution;
        let MaskPredictor { deconv, predictor } = &self.predictor;
        let cells = count * side * side;
        let quarters = deconv.forward(ops, x.buffer.address, cells, true)?;
        let logits = predictor.forward(ops, quarters.address, cells * 4, false)?;
        let params = MaskProbabilitiesParams {
            logits: logits.address,
            classes: if self.class_agnostic { 0 } else { part(&packed.classes, first, 4) },
            output: part(masks, first, 4 * side * side * 4),
            resolution: side as i32,
            stride: predictor.output as i32,
        };
        ops.context.items("mask_probabilities", &params, cells * 4)
    }
}

/// The address of item `first`, each of so many bytes.
fn part(buffer: &Buffer, first: usize, bytes: usize) -> u64 {
    buffer.address + (first * bytes) as u64
}

fn pack_rois(ops: &Ops, found: &Found) -> Result<Packed> {
    let places = found.images * found.most;
    let packed = Packed {
        boxes: ops.context.buffer(places * 16)?,
        images: ops.context.buffer(places * 4)?,
        classes: ops.context.buffer(places * 4)?,
        total: ops.context.buffer(4)?,
    };
    let params = MaskRoisParams {
        boxes: found.boxes.address,
        classes: found.classes.address,
        counts: found.counts.address,
        out_boxes: packed.boxes.address,
        out_images: packed.images.address,
        out_classes: packed.classes.address,
        total: packed.total.address,
        images: found.images as i32,
        most: found.most as i32,
    };
    ops.context.items("mask_rois", &params, places)?;
    Ok(packed)
}

fn paste(
    ops: &Ops,
    packed: &Packed,
    masks: &Buffer,
    (total, side): (usize, usize),
    images: &Loaded,
) -> Result<Vec<Rle>> {
    let (width, height) = images.original;
    let ranges = ops.context.buffer(total * 8)?;
    let taken = ops.context.buffer(4)?;
    let mut capacity = total * BOUNDS;
    loop {
        let bounds = ops.context.buffer(capacity * 4)?;
        taken.zero()?;
        let params = MaskRunsParams {
            masks: masks.address,
            boxes: packed.boxes.address,
            images: packed.images.address,
            total: packed.total.address,
            sizes: images.sizes.address,
            originals: images.originals.address,
            bounds: bounds.address,
            taken: taken.address,
            ranges: ranges.address,
            side: side as i32,
            capacity: capacity as i32,
        };
        ops.context.blocks("mask_runs", &params, total, THREADS as usize, MASK_RUNS_SHARED)?;
        let used = ops.context.download::<i32>(taken.address, 1)?[0].max(0) as usize;
        if used > capacity {
            capacity = used;
            continue;
        }
        let bounds = ops.context.download::<u32>(bounds.address, used)?;
        let ranges = ops.context.download::<[i32; 2]>(ranges.address, total)?;
        let of_mask = |&[start, count]: &[i32; 2]| {
            let runs = bounds.get(start.max(0) as usize..).unwrap_or_default();
            Rle::from_bounds(&runs[..runs.len().min(count.max(0) as usize)], width, height)
        };
        return Ok(ranges.par_iter().map(of_mask).collect());
    }
}
