//! Region proposals and the box head (`detectron2/modeling/proposal_generator/rpn.py`, `roi_heads`), without a round trip to the host.

use super::input::Loaded;
use super::layer::{FeatureMap, Ops};
use super::params::{
    ClassScoresParams, DetectionsGatherParams, DetectionsTopkParams, NMS_BITS, NMS_SCAN_SHARED, NmsMaskParams,
    NmsScanParams, ProposalLevel, ProposalsMergeParams, ProposalsTopkParams, RoiAlignParams, THREADS, TOP_K_MOST,
    TOP_K_SHARED,
};
use super::runtime::Buffer;
use crate::rcnn::geometry::boxes::Box2;
use crate::rcnn::geometry::pooler::Pooler;
use crate::rcnn::proposals::{Rpn, RpnDecoder};
use crate::rcnn::roi_heads::{BoxHead, Selection};
use crate::rcnn::{Error, Result, Watch};

/// Strides of the levels that regions are pooled from.
pub(super) const LEVELS: [usize; 4] = [4, 8, 16, 32];
/// Threads of a block that resolves 64 boxes at once.
const NMS_THREADS: usize = 64;

/// Class-agnostic regions of each image, best first.
#[derive(Debug)]
pub(super) struct Regions {
    /// [images, most, 4] f32, in pixels of the resized image, then zeros.
    boxes: Buffer,
    /// [images] i32
    counts: Buffer,
    images: usize,
    most: usize,
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
    /// Proposals from p2 … p6.
    pub(super) fn propose(
        &self,
        ops: &Ops,
        anchors: &[Buffer],
        features: &[FeatureMap],
        images: &Loaded,
    ) -> Result<Regions> {
        let decoder = &self.decoder;
        let (levels, cap) = (decoder.anchors.len(), decoder.pre_nms_topk);
        let segments = images.count * levels;
        let mut params = ProposalsTopkParams {
            sizes: images.sizes.address,
            levels: levels as i32,
            anchors: decoder.anchors_per_cell() as i32,
            cap: cap as i32,
            offset: decoder.anchors[0].offset,
            min_size: decoder.min_size,
            weights: decoder.weights,
            ..Default::default()
        };
        let mut predictions = vec![];
        for (i, feature) in features.iter().enumerate().take(levels) {
            let of_level = self.predict(ops, feature)?;
            params.level[i] = ProposalLevel {
                predictions: of_level.buffer.address,
                anchors: anchors[i].address,
                height: feature.height as i32,
                width: feature.width as i32,
                stride: of_level.channels as i32,
                step: decoder.anchors[i].stride,
            };
            predictions.push(of_level);
        }
        let boxes = ops.context.buffer(segments * cap * 16)?;
        let scores = ops.context.buffer(segments * cap * 4)?;
        let counts = ops.context.buffer(segments * 4)?;
        (params.boxes, params.scores, params.counts) = (boxes.address, scores.address, counts.address);
        ops.context.blocks("proposals_topk", &params, segments, THREADS as usize, TOP_K_SHARED)?;
        let post = decoder.post_nms_topk;
        let of_segment = post.min(cap);
        let kept = ops.suppress(&boxes, None, &counts, segments, (cap, of_segment), decoder.nms_threshold)?;
        let regions = Regions {
            boxes: ops.context.buffer(images.count * post * 16)?,
            counts: ops.context.buffer(images.count * 4)?,
            images: images.count,
            most: post,
        };
        let roi_scores = ops.context.buffer(images.count * post * 4)?;
        let params = ProposalsMergeParams {
            boxes: boxes.address,
            scores: scores.address,
            kept: kept.places.address,
            kept_counts: kept.counts.address,
            rois: regions.boxes.address,
            roi_scores: roi_scores.address,
            roi_counts: regions.counts.address,
            levels: levels as i32,
            cap: cap as i32,
            most: of_segment as i32,
            post: post as i32,
        };
        ops.context.blocks("proposals_merge", &params, images.count, THREADS as usize, TOP_K_SHARED)?;
        Ok(regions)
    }
}

fn at_most(key: &'static str, value: usize) -> Result<()> {
    match value <= TOP_K_MOST {
        true => Ok(()),
        false => Err(Error::Unsupported { key, value: value.to_string(), supported: "at most 4096 on a GPU" }),
    }
}

/// What non-maximum suppression leaves: of each segment the places of its boxes, and how many they are.
struct Kept {
    places: Buffer,
    counts: Buffer,
}

impl Ops {
    /// Of `segments` lists of `cap` places for boxes that are sorted, best first; at most `most` of each are kept.
    fn suppress(
        &self,
        boxes: &Buffer,
        groups: Option<&Buffer>,
        counts: &Buffer,
        segments: usize,
        (cap, most): (usize, usize),
        threshold: f32,
    ) -> Result<Kept> {
        let words = cap.div_ceil(NMS_BITS);
        let mask = self.context.buffer(segments * words * cap * 8)?;
        let places = self.context.buffer(segments * most * 4)?;
        let kept_counts = self.context.buffer(segments * 4)?;
        let params = NmsMaskParams {
            boxes: boxes.address,
            groups: groups.map_or(0, |groups| groups.address),
            counts: counts.address,
            mask: mask.address,
            cap: cap as i32,
            threshold,
        };
        self.context.items("nms_mask", &params, segments * words * cap)?;
        let params = NmsScanParams {
            counts: counts.address,
            mask: mask.address,
            kept: places.address,
            kept_counts: kept_counts.address,
            cap: cap as i32,
            most: most as i32,
        };
        self.context.blocks("nms_scan", &params, segments, NMS_THREADS, NMS_SCAN_SHARED)?;
        Ok(Kept { places, counts: kept_counts })
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

/// What was found in some images of one size, in pixels of the resized image, best first.
#[derive(Debug)]
pub(super) struct Found {
    /// [images, most, 4] f32, [images, most] f32, [images, most] i32, [images] i32
    pub boxes: Buffer,
    scores: Buffer,
    pub classes: Buffer,
    pub counts: Buffer,
    pub images: usize,
    pub most: usize,
}

impl BoxHead<Ops> {
    pub(super) fn find(
        &self,
        ops: &Ops,
        features: &[FeatureMap],
        regions: &Regions,
        images: &Loaded,
        (threshold, watch): (f32, &Watch<'_>),
    ) -> Result<Found> {
        let count = regions.images * regions.most;
        let places = (regions.boxes.address, regions.counts.address, 0);
        let x = ops.pool(&self.pooler, features, places, regions.most, count)?;
        let predictions = self.predict(ops, x, watch)?;
        self.choose(ops, regions, &predictions, images, threshold)
    }

    fn choose(
        &self,
        ops: &Ops,
        regions: &Regions,
        predictions: &FeatureMap,
        images: &Loaded,
        threshold: f32,
    ) -> Result<Found> {
        let (chosen, classes, stride) = (&self.selection, self.selection.num_classes, predictions.channels);
        let (n, count, cap) = (regions.images, regions.images * regions.most, TOP_K_MOST);
        let scores = ops.context.buffer(count * (classes + 1) * 4)?;
        let params = ClassScoresParams {
            predictions: predictions.buffer.address,
            scores: scores.address,
            classes: classes as i32,
            deltas: chosen.deltas as i32,
            stride: stride as i32,
        };
        ops.context.items("class_scores", &params, count)?;
        let candidates = Found::new(ops, n, cap)?;
        let params = DetectionsTopkParams {
            rois: regions.boxes.address,
            roi_counts: regions.counts.address,
            scores: scores.address,
            predictions: predictions.buffer.address,
            sizes: images.sizes.address,
            boxes: candidates.boxes.address,
            out_scores: candidates.scores.address,
            out_classes: candidates.classes.address,
            counts: candidates.counts.address,
            post: regions.most as i32,
            classes: classes as i32,
            stride: stride as i32,
            class_agnostic: i32::from(chosen.class_agnostic),
            cap: cap as i32,
            threshold,
            weights: chosen.weights,
        };
        ops.context.blocks("detections_topk", &params, n, THREADS as usize, TOP_K_SHARED)?;
        let groups = Some(&candidates.classes);
        let limits = (cap, chosen.topk);
        let kept = ops.suppress(&candidates.boxes, groups, &candidates.counts, n, limits, chosen.nms_threshold)?;
        let found = Found { counts: kept.counts, ..Found::new(ops, n, chosen.topk)? };
        let params = DetectionsGatherParams {
            boxes: candidates.boxes.address,
            scores: candidates.scores.address,
            classes: candidates.classes.address,
            kept: kept.places.address,
            kept_counts: found.counts.address,
            out_boxes: found.boxes.address,
            out_scores: found.scores.address,
            out_classes: found.classes.address,
            cap: cap as i32,
            most: chosen.topk as i32,
        };
        ops.context.items("detections_gather", &params, n * chosen.topk)?;
        Ok(found)
    }
}

impl Found {
    fn new(ops: &Ops, images: usize, most: usize) -> Result<Self> {
        let buffer = |bytes| ops.context.buffer(images * bytes);
        Ok(Self {
            boxes: buffer(most * 16)?,
            scores: buffer(most * 4)?,
            classes: buffer(most * 4)?,
            counts: buffer(4)?,
            images,
            most,
        })
    }

    /// How many there are in each image.
    pub fn counts(&self, ops: &Ops) -> Result<Vec<usize>> {
        let counts = ops.context.download::<i32>(self.counts.address, self.images)?;
        Ok(counts.into_iter().map(|count| count.max(0) as usize).collect())
    }

    /// Box, score and class of each.
    pub fn rows(&self, ops: &Ops, counts: &[usize]) -> Result<Vec<Vec<(Box2, f32, usize)>>> {
        let places = self.images * self.most;
        let boxes = ops.context.download::<Box2>(self.boxes.address, places)?;
        let scores = ops.context.download::<f32>(self.scores.address, places)?;
        let classes = ops.context.download::<i32>(self.classes.address, places)?;
        let row = |i: usize| (boxes[i], scores[i], classes[i].max(0) as usize);
        let of_image = |(image, &count): (usize, &usize)| {
            (0..count.min(self.most)).map(|rank| row(image * self.most + rank)).collect()
        };
        Ok(counts.iter().enumerate().map(of_image).collect())
    }
}
