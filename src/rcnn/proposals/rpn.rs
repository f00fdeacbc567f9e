//! Region proposal network (`detectron2/modeling/proposal_generator/rpn.py`, `find_top_rpn_proposals`).

use candle_nn::VarBuilder;

use super::Proposals;
use crate::rcnn::backend::{Backend, HostBackend, PostOps, Role};
use crate::rcnn::config::{ModelConfig, only, unsupported};
use crate::rcnn::geometry::anchors::LevelAnchors;
use crate::rcnn::geometry::boxes::{Candidate, apply_deltas, batched_nms, clip};
use crate::rcnn::geometry::level::{FeatureLevel, pick};
use crate::rcnn::layers::{Conv, ConvSpec, Norm, join};
use crate::rcnn::{Error, Result, Watch};

/// The head (`StandardRPNHead`), and what becomes of its predictions.
#[derive(Debug)]
pub struct Rpn<B: Backend> {
    conv: B::Conv,
    /// Objectness of a cell's anchors, then their deltas.
    predictor: B::Linear,
    pub decoder: RpnDecoder,
}

/// Anchors, and what becomes of the head's predictions.
#[derive(Debug)]
pub struct RpnDecoder {
    pub anchors: Vec<LevelAnchors>,
    pub weights: [f32; 4],
    pub nms_threshold: f32,
    pub pre_nms_topk: usize,
    pub post_nms_topk: usize,
    pub min_size: f32,
}

impl<B: Backend> Rpn<B> {
    pub fn load(backend: &B, cfg: &ModelConfig, vb: VarBuilder, levels: &[FeatureLevel]) -> Result<Self> {
        only("MODEL.PROPOSAL_GENERATOR.NAME", &cfg.proposal_generator.name, "RPN")?;
        only("MODEL.RPN.HEAD_NAME", &cfg.rpn.head_name, "StandardRPNHead")?;
        only("MODEL.ANCHOR_GENERATOR.NAME", &cfg.anchor_generator.name, "DefaultAnchorGenerator")?;
        let dims = &cfg.rpn.conv_dims;
        unsupported(*dims != [-1], "MODEL.RPN.CONV_DIMS", &format!("{dims:?}"), "[-1]")?;
        let levels = pick(levels, &cfg.rpn.in_features, "MODEL.RPN.IN_FEATURES")?;
        let anchors = LevelAnchors::for_levels(&cfg.anchor_generator, levels.iter().map(|level| level.stride))?;
        let count = anchors[0].per_cell();
        if anchors.iter().any(|a| a.per_cell() != count) {
            return Err(Error::Config("MODEL.ANCHOR_GENERATOR must give each level the same number of anchors".into()));
        }
        let vb = vb.pp("rpn_head");
        let channels = levels[0].channels;
        let conv = |name, output, kernel| Conv::load(vb.pp(name), channels, output, ConvSpec::new(kernel, Norm::None));
        let decoder = RpnDecoder {
            anchors,
            weights: cfg.rpn.bbox_reg_weights,
            nms_threshold: cfg.rpn.nms_thresh,
            pre_nms_topk: cfg.rpn.pre_nms_topk_test,
            post_nms_topk: cfg.rpn.post_nms_topk_test,
            min_size: cfg.proposal_generator.min_size,
        };
        let [objectness, deltas] = [("objectness_logits", count), ("anchor_deltas", count * 4)]
            .map(|(name, output)| conv(name, output, 1).and_then(|conv| conv.to_linear()));
        Ok(Self {
            conv: backend.pack_conv(conv("conv", channels, 3)?, Role::Heads)?,
            predictor: backend.pack_linear(&join(&[&objectness?, &deltas?])?, None, true)?,
            decoder,
        })
    }

    /// [1, C, H, W] → [1, 5A, H, W]: the objectness logits of A anchors, then their deltas.
    pub fn predict(&self, backend: &B, feature: &B::Map) -> Result<B::Map> {
        let hidden = backend.conv(&self.conv, feature, PostOps::relu())?;
        backend.linear(&self.predictor, &hidden, false)
    }
}

impl<B: HostBackend> Rpn<B> {
    /// Proposals from p2 … p6 for a resized image of (width, height) pixels before padding.
    pub fn forward(
        &self,
        backend: &B,
        features: &[B::Map],
        size: (usize, usize),
        watch: &mut Watch<'_>,
    ) -> Result<Proposals> {
        let count = self.decoder.anchors_per_cell();
        let mut candidates = vec![];
        for (level, feature) in features.iter().enumerate().take(self.decoder.anchors.len()) {
            watch.check_cancelled()?;
            let predictions = self.predict(backend, feature)?;
            let host = backend.to_host(&predictions)?;
            watch.mark("RPN head");
            let (data, stride) = (&*host.data, host.stride);
            let mut logits = Vec::with_capacity(data.len() / stride * count);
            data.chunks_exact(stride).for_each(|cell| logits.extend_from_slice(&cell[..count]));
            let delta = |cell: usize, a: usize| {
                let at = cell * stride + count + a * 4;
                [data[at], data[at + 1], data[at + 2], data[at + 3]]
            };
            self.decoder.decode(level, host.width, &logits, delta, size, &mut candidates);
            watch.mark("proposals");
        }
        let proposals = self.decoder.select(&candidates);
        watch.mark("proposals");
        Ok(proposals)
    }
}

impl RpnDecoder {
    pub fn anchors_per_cell(&self) -> usize {
        self.anchors[0].per_cell()
    }

    /// The best candidates of all levels.
    pub fn select(&self, candidates: &[Candidate]) -> Proposals {
        let mut kept = batched_nms(candidates, self.nms_threshold);
        kept.truncate(self.post_nms_topk);
        Proposals {
            boxes: kept.iter().map(|&i| candidates[i].bounds).collect(),
            logits: kept.iter().map(|&i| candidates[i].score).collect(),
        }
    }

    /// The level's best `pre_nms_topk` anchors, decoded, clipped, and without the empty ones. The level is `w` cells wide; `logits` are in
    /// the order (y, x, anchor), `delta` is asked for a cell and an anchor.
    pub fn decode(
        &self,
        level: usize,
        w: usize,
        logits: &[f32],
        delta: impl Fn(usize, usize) -> [f32; 4],
        (width, height): (usize, usize),
        candidates: &mut Vec<Candidate>,
    ) {
        let count = self.anchors_per_cell();
        for i in top_k(logits, self.pre_nms_topk) {
            let (cell, a) = (i / count, i % count);
            let (y, x) = (cell / w, cell % w);
            let bounds = apply_deltas(&self.anchors[level].at(y, x, a), delta(cell, a), &self.weights);
            if !logits[i].is_finite() || bounds.iter().any(|v| !v.is_finite()) {
                continue;
            }
            let bounds = clip(bounds, width as f32, height as f32);
            if bounds[2] - bounds[0] > self.min_size && bounds[3] - bounds[1] > self.min_size {
                candidates.push(Candidate { bounds, score: logits[i], group: level });
            }
        }
    }
}

/// Indices of the `k` largest values, largest first, equal ones in their order.
fn top_k(values: &[f32], k: usize) -> Vec<usize> {
    // Smaller is better: the value's order upside down, then the index.
    let key = |index: usize, value: f32| {
        let bits = value.to_bits();
        let ascending = if bits >> 31 == 1 { !bits } else { bits | (1 << 31) };
        (u64::from(!ascending) << 32) | index as u64
    };
    if k == 0 {
        return vec![];
    }
    let mut best: Vec<u64> = Vec::with_capacity(values.len().min(k.saturating_mul(2)));
    let mut limit = u64::MAX;
    for (index, &value) in values.iter().enumerate() {
        let key = key(index, value);
        if key >= limit {
            continue;
        }
        best.push(key);
        if best.len() / 2 == k {
            limit = *best.select_nth_unstable(k - 1).1;
            best.truncate(k);
        }
    }
    best.sort_unstable();
    best.truncate(k);
    best.into_iter().map(|key| (key & u64::from(u32::MAX)) as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first() {
        let mut values: Vec<f32> = (0..500u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 25) as f32 - 60.0).collect();
        values[7] = f32::INFINITY;
        values[11] = f32::NEG_INFINITY;
        values[13] = -0.0;
        let mut sorted: Vec<usize> = (0..values.len()).collect();
        sorted.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        for k in [0, 1, 2, 10, 249, 250, 499, 500, 501, usize::MAX] {
            assert_eq!(top_k(&values, k), sorted[..k.min(500)]);
        }
    }
}
