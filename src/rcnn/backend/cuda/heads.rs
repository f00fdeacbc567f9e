//! Region proposals and the box head (`detectron2/modeling/proposal_generator/rpn.py`, `roi_heads`), without a round trip to the host.

use super::input::Loaded;
use super::layer::{FeatureMap, Ops};
use super::params::{
    ClassScoresParams, DetectionsGatherParams, DetectionsTopkParams, NMS_BITS, NMS_SCAN_SHARED, NmsMaskParams,
    NmsScanParams, ProposalLevel, ProposalsMergeParams, ProposalsTopkParams, RoiAlignParams, THREADS, TOP_K_MOST,
    TOP_K_SHARED,
};
use super::runtime::Buffer;
use crate::rcnn::detection::Detection;
use crate::rcnn::geometry::boxes::{Box2, rescale};
use crate::rcnn::geometry::pooler::Pooler;
use crate::rcnn::post::mask::Rle;
use crate::rcnn::proposals::{Rpn, RpnDecoder};
use crate::rcnn::roi_heads::{BoxHead, Selection};
use crate::rcnn::{Error, Result, Watch};

/// Strides of the levels that regions are pooled from.
pub(super) const LEVELS: [usize; 4] = [4, 8, 16, 32];
/// Threads of a block that resolves 64 boxes at once.
const NMS_THREADS: usize = 64;

/// Lists of boxes on the GPU, each best first.
#[derive(Debug)]
pub(super) struct Ranked {
    /// [lists, most, 4] f32, in pixels of the resized image, and [lists, most] f32.
    pub boxes: Buffer,
    pub scores: Buffer,
    /// [lists] i32: how many there are in each list.
    pub counts: Buffer,
    pub lists: usize,
    pub most: usize,
}

impl Ranked {
    fn new(ops: &Ops, lists: usize, most: usize) -> Result<Self> {
        let buffer = |bytes| ops.context.buffer(lists * bytes);
        Ok(Self { boxes: buffer(most * 16)?, scores: buffer(most * 4)?, counts: buffer(4)?, lists, most })
    }
}

/// Refuses what the kernels have no room for.
pub(super) fn check(rpn: &RpnDecoder, pooler: &Pooler, selection: &Selection) -> Result<()> {
    at_most("MODEL.RPN.PRE_NMS_TOPK_TEST", rpn.pre_nms_topk)?;
    at_most("MODEL.RPN.POST_NMS_TOPK_TEST", rpn.post_nms_topk)?;
    at_most("TEST.DETECTIONS_PER_IMAGE", selection.topk)?;
    if pooler.strides != LEVELS {
        let value = format!("{} levels", pooler.strides.len());
        let supported = "p2 to p5 on a GPU";
        return Err(Error::Unsupported { key: "MODEL.ROI_HEADS.IN_FEATURES", value, supported });
    }
    Ok(())
}

impl Rpn<Ops> {
    /// Proposals from p2 … p6: a list of each image's, with zeros behind them.
    pub(super) fn propose(
        &self,
        ops: &Ops,
        anchors: &[Buffer],
        features: &[FeatureMap],
        images: &Loaded,
    ) -> Result<Ranked> {
        let features = features.iter().take(self.decoder.anchors.len());
        let predictions = features.map(|feature| self.predict(ops, feature)).collect::<Result<Vec<_>>>()?;
        let of_levels = self.decoder.best_of_levels(ops, anchors, &predictions, &images.sizes)?;
        self.decoder.best_of_images(ops, &of_levels)
    }
}

impl RpnDecoder {
    /// A list of each image's levels, of the head's predictions for them.
    pub(super) fn best_of_levels(
        &self,
        ops: &Ops,
        anchors: &[Buffer],
        predictions: &[FeatureMap],
        sizes: &Buffer,
    ) -> Result<Ranked> {
        let best = Ranked::new(ops, predictions[0].count * predictions.len(), self.pre_nms_topk)?;
        let mut params = ProposalsTopkParams {
            sizes: sizes.address,
            boxes: best.boxes.address,
            scores: best.scores.address,
            counts: best.counts.address,
            levels: predictions.len() as i32,
            anchors: self.anchors_per_cell() as i32,
            cap: best.most as i32,
            offset: self.anchors[0].offset,
            min_size: self.min_size,
            weights: self.weights,
            ..Default::default()
        };
        for (i, of_level) in predictions.iter().enumerate() {
            params.level[i] = ProposalLevel {
                predictions: of_level.buffer.address,
                anchors: anchors[i].address,
                height: of_level.height as i32,
                width: of_level.width as i32,
                stride: of_level.channels as i32,
                step: self.anchors[i].stride,
            };
        }
        ops.context.blocks("proposals_topk", &params, best.lists, THREADS as usize, TOP_K_SHARED)?;
        Ok(best)
    }

    /// What suppression leaves of all levels.
    pub(super) fn best_of_images(&self, ops: &Ops, of_levels: &Ranked) -> Result<Ranked> {
        let (levels, cap, post) = (self.anchors.len(), of_levels.most, self.post_nms_topk);
        let kept = ops.suppress(of_levels, None, post.min(cap), self.nms_threshold)?;
        let best = Ranked::new(ops, of_levels.lists / levels, post)?;
        let params = ProposalsMergeParams {
            boxes: of_levels.boxes.address,
            scores: of_levels.scores.address,
            kept: kept.places.address,
            kept_counts: kept.counts.address,
            rois: best.boxes.address,
            roi_scores: best.scores.address,
            roi_counts: best.counts.address,
            levels: levels as i32,
            cap: cap as i32,
            most: post.min(cap) as i32,
            post: post as i32,
        };
        ops.context.blocks("proposals_merge", &params, best.lists, THREADS as usize, TOP_K_SHARED)?;
        Ok(best)
    }
}

fn at_most(key: &'static str, value: usize) -> Result<()> {
    match value <= TOP_K_MOST {
        true => Ok(()),
        false => Err(Error::Unsupported { key, value: value.to_string(), supported: "at most 4096 on a GPU" }),
    }
}

/// What non-maximum suppression leaves: of each list the places of its boxes, and how many they are.
pub(super) struct Kept {
    pub places: Buffer,
    pub counts: Buffer,
}

impl Ops {
    /// Keeps at most `most` of each list; with `groups`, boxes suppress those of their own only.
    pub fn suppress(&self, of: &Ranked, groups: Option<&Buffer>, most: usize, threshold: f32) -> Result<Kept> {
        let (lists, cap) = (of.lists, of.most);
        let words = cap.div_ceil(NMS_BITS);
        let mask = self.context.buffer(lists * words * cap * 8)?;
        let kept = Kept { places: self.context.buffer(lists * most * 4)?, counts: self.context.buffer(lists * 4)? };
        let params = NmsMaskParams {
            boxes: of.boxes.address,
            groups: groups.map_or(0, |groups| groups.address),
            counts: of.counts.address,
            mask: mask.address,
            cap: cap as i32,
            threshold,
        };
        self.context.items("nms_mask", &params, lists * words * cap)?;
        let params = NmsScanParams {
            counts: of.counts.address,
            mask: mask.address,
            kept: kept.places.address,
            kept_counts: kept.counts.address,
            cap: cap as i32,
            most: most as i32,
        };
        self.context.blocks("nms_scan", &params, lists, NMS_THREADS, NMS_SCAN_SHARED)?;
        Ok(kept)
    }

    /// Regions pooled from p2 … p5: [count, R, R, C]. With `images`, the number of each region's image.
    pub fn pool(
        &self,
        pooler: &Pooler,
        features: &[FeatureMap],
        (boxes, counts, images): (u64, u64, u64),
        per_image: usize,
        count: usize,
    ) -> Result<FeatureMap> {
        let out = self.map(count, pooler.resolution, pooler.resolution, features[0].channels)?;
        let params = RoiAlignParams {
            maps: std::array::from_fn(|i| features[i].buffer.address),
            heights: std::array::from_fn(|i| features[i].height as i32),
            widths: std::array::from_fn(|i| features[i].width as i32),
            scales: std::array::from_fn(|i| 1.0 / pooler.strides[i] as f32),
            rois: boxes,
            images,
            counts,
            output: out.buffer.address,
            per_image: per_image as i32,
            channels: out.channels as i32,
            resolution: pooler.resolution as i32,
            sampling_ratio: pooler.sampling_ratio as i32,
        };
        self.context.items(&self.named("roi_align"), &params, out.values() / self.dtype.pack())?;
        Ok(out)
    }
}

/// What was found in some images of one size.
#[derive(Debug)]
pub(super) struct Found {
    pub ranked: Ranked,
    /// [images, most] i32
    pub classes: Buffer,
}

impl BoxHead<Ops> {
    pub(super) fn find(
        &self,
        ops: &Ops,
        features: &[FeatureMap],
        regions: &Ranked,
        images: &Loaded,
        (threshold, watch): (f32, &Watch<'_>),
    ) -> Result<Found> {
        let places = (regions.boxes.address, regions.counts.address, 0);
        let x = ops.pool(&self.pooler, features, places, regions.most, regions.lists * regions.most)?;
        let predictions = self.predict(ops, x, watch)?;
        let limits = (threshold, TOP_K_MOST);
        let candidates = self.selection.candidates(ops, regions, &predictions, &images.sizes, limits)?;
        self.selection.best(ops, &candidates)
    }
}

impl Selection {
    /// At most `cap` of each image above the threshold.
    pub(super) fn candidates(
        &self,
        ops: &Ops,
        regions: &Ranked,
        predictions: &FeatureMap,
        sizes: &Buffer,
        (threshold, cap): (f32, usize),
    ) -> Result<Found> {
        let (classes, stride) = (self.num_classes, predictions.channels);
        let scores = ops.context.buffer(predictions.count * (classes + 1) * 4)?;
        let params = ClassScoresParams {
            predictions: predictions.buffer.address,
            scores: scores.address,
            classes: classes as i32,
            deltas: self.deltas as i32,
            stride: stride as i32,
        };
        ops.context.items("class_scores", &params, predictions.count)?;
        let found = Found::new(ops, regions.lists, cap)?;
        let params = DetectionsTopkParams {
            rois: regions.boxes.address,
            roi_counts: regions.counts.address,
            scores: scores.address,
            predictions: predictions.buffer.address,
            sizes: sizes.address,
            boxes: found.ranked.boxes.address,
            out_scores: found.ranked.scores.address,
            out_classes: found.classes.address,
            counts: found.ranked.counts.address,
            post: regions.most as i32,
            classes: classes as i32,
            stride: stride as i32,
            class_agnostic: i32::from(self.class_agnostic),
            cap: cap as i32,
            threshold,
            weights: self.weights,
        };
        ops.context.blocks("detections_topk", &params, regions.lists, THREADS as usize, TOP_K_SHARED)?;
        Ok(found)
    }

    /// What suppression within classes leaves of the candidates, with zeros behind it.
    pub(super) fn best(&self, ops: &Ops, candidates: &Found) -> Result<Found> {
        let Found { ranked, classes } = candidates;
        let kept = ops.suppress(ranked, Some(classes), self.topk, self.nms_threshold)?;
        let mut found = Found::new(ops, ranked.lists, self.topk)?;
        found.ranked.counts = kept.counts;
        let params = DetectionsGatherParams {
            boxes: ranked.boxes.address,
            scores: ranked.scores.address,
            classes: classes.address,
            kept: kept.places.address,
            kept_counts: found.ranked.counts.address,
            out_boxes: found.ranked.boxes.address,
            out_scores: found.ranked.scores.address,
            out_classes: found.classes.address,
            cap: ranked.most as i32,
            most: self.topk as i32,
        };
        ops.context.items("detections_gather", &params, ranked.lists * self.topk)?;
        Ok(found)
    }
}

impl Found {
    fn new(ops: &Ops, images: usize, most: usize) -> Result<Self> {
        Ok(Self { ranked: Ranked::new(ops, images, most)?, classes: ops.context.buffer(images * most * 4)? })
    }

    /// How many there are in each image.
    pub fn counts(&self, ops: &Ops) -> Result<Vec<usize>> {
        let counts = ops.context.download::<i32>(self.ranked.counts.address, self.ranked.lists)?;
        Ok(counts.into_iter().map(|count| count.max(0) as usize).collect())
    }

    /// As the model reports them: boxes in pixels of the images that were given, without those that are empty there. `masks` are of all, image after
    /// image.
    pub fn detections(
        &self,
        ops: &Ops,
        counts: &[usize],
        masks: Option<&[Rle]>,
        images: &Loaded,
    ) -> Result<Vec<Vec<Detection>>> {
        let Ranked { boxes, scores, lists, most, .. } = &self.ranked;
        let boxes = ops.context.download::<Box2>(boxes.address, lists * most)?;
        let scores = ops.context.download::<f32>(scores.address, lists * most)?;
        let classes = ops.context.download::<i32>(self.classes.address, lists * most)?;
        let from = (images.size.0 as f32, images.size.1 as f32);
        let to = (images.original.0 as f32, images.original.1 as f32);
        let mut masks = masks.map(<[_]>::iter);
        let mut detection = |i: usize| {
            let mask = masks.as_mut().and_then(Iterator::next).cloned();
            let box_px = rescale(&boxes[i], from, to)?;
            Some(Detection { class_id: classes[i].max(0) as usize, score: scores[i], box_px, mask })
        };
        let of_image = |(image, count): (usize, &usize)| {
            (0..*count.min(most)).filter_map(|rank| detection(image * most + rank)).collect()
        };
        Ok(counts.iter().enumerate().map(of_image).collect())
    }
}
