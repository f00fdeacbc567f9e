//! The mask head (`MaskRCNNConvUpsampleHead`), and its masks as run lengths of the page.

use rayon::prelude::*;

use super::heads::{Found, Ranked};
use super::input::Loaded;
use super::layer::{FeatureMap, Ops};
use super::params::{MASK_RUNS_SHARED, MaskProbabilitiesParams, MaskRoisParams, MaskRunsParams, THREADS};
use super::runtime::Buffer;
use crate::rcnn::post::mask::Rle;
use crate::rcnn::roi_heads::MaskHead;
use crate::rcnn::{Result, Watch};

/// Regions that the head takes at once; it bounds the memory of its maps.
const CHUNK: usize = 1024;
/// Ends of runs that room is made for, for each mask; where there are more, all are counted again.
const BOUNDS: usize = 4096;

/// The detections of all images, one behind the other.
pub(super) struct Packed {
    pub boxes: Buffer,
    pub images: Buffer,
    pub classes: Buffer,
    pub total: Buffer,
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
            let logits = self.predict(ops, x, watch)?;
            let classes = if self.class_agnostic { 0 } else { part(&packed.classes, first, 4) };
            ops.mask_probabilities(&logits, classes, side, part(&masks, first, side * side * 4))?;
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
}

impl Ops {
    /// Of logits as [`MaskHead::predict`] makes them; `classes` says whose each region's are, or 0 if all are the first's.
    pub fn mask_probabilities(&self, logits: &FeatureMap, classes: u64, side: usize, output: u64) -> Result<()> {
        let (resolution, stride) = ((side / 2) as i32, logits.channels as i32);
        let params = MaskProbabilitiesParams { logits: logits.buffer.address, classes, output, resolution, stride };
        self.context.items("mask_probabilities", &params, logits.pixels())
    }
}

/// The address of item `first`, each of so many bytes.
fn part(buffer: &Buffer, first: usize, bytes: usize) -> u64 {
    buffer.address + (first * bytes) as u64
}

pub(super) fn pack_rois(ops: &Ops, found: &Found) -> Result<Packed> {
    let Ranked { boxes, counts, lists, most, .. } = &found.ranked;
    let places = lists * most;
    let packed = Packed {
        boxes: ops.context.buffer(places * 16)?,
        images: ops.context.buffer(places * 4)?,
        classes: ops.context.buffer(places * 4)?,
        total: ops.context.buffer(4)?,
    };
    let params = MaskRoisParams {
        boxes: boxes.address,
        classes: found.classes.address,
        counts: counts.address,
        out_boxes: packed.boxes.address,
        out_images: packed.images.address,
        out_classes: packed.classes.address,
        total: packed.total.address,
        images: *lists as i32,
        most: *most as i32,
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
    let sizes = [&images.sizes, &images.originals];
    let mut runs = mask_runs(ops, packed, masks, (total, side), sizes, total * BOUNDS)?;
    let taken = runs.taken;
    if taken > total * BOUNDS {
        drop(runs);
        runs = mask_runs(ops, packed, masks, (total, side), sizes, taken)?;
    }
    let bounds = ops.context.download::<u32>(runs.bounds.address, taken)?;
    let ranges = ops.context.download::<[i32; 2]>(runs.ranges.address, total)?;
    let of_mask = |&[start, count]: &[i32; 2]| {
        let runs = bounds.get(start.max(0) as usize..).unwrap_or_default();
        Rle::from_bounds(&runs[..runs.len().min(count.max(0) as usize)], width, height)
    };
    Ok(ranges.par_iter().map(of_mask).collect())
}

/// Ends of the runs of pasted masks, as far as there is room for them.
pub(super) struct Runs {
    pub bounds: Buffer,
    /// [masks, 2] i32: where a mask's bounds begin, and how many they are.
    pub ranges: Buffer,
    /// How many there are of all masks, with those that found no room.
    pub taken: usize,
}

/// With each image's resized and original size, and room for so many bounds.
pub(super) fn mask_runs(
    ops: &Ops,
    packed: &Packed,
    masks: &Buffer,
    (count, side): (usize, usize),
    [sizes, originals]: [&Buffer; 2],
    capacity: usize,
) -> Result<Runs> {
    let bounds = ops.context.buffer(capacity * 4)?;
    let ranges = ops.context.buffer(count * 8)?;
    let taken = ops.context.buffer(4)?;
    taken.zero()?;
    let params = MaskRunsParams {
        masks: masks.address,
        boxes: packed.boxes.address,
        images: packed.images.address,
        total: packed.total.address,
        sizes: sizes.address,
        originals: originals.address,
        bounds: bounds.address,
        taken: taken.address,
        ranges: ranges.address,
        side: side as i32,
        capacity: capacity as i32,
    };
    ops.context.blocks("mask_runs", &params, count, THREADS as usize, MASK_RUNS_SHARED)?;
    let taken = ops.context.download::<i32>(taken.address, 1)?[0].max(0) as usize;
    Ok(Runs { bounds, ranges, taken })
}
