//! Region proposal network (`detectron2/modeling/proposal_generator/rpn.py`, `find_top_rpn_proposals`).

use candle_core::Tensor;
use candle_nn::VarBuilder;

use super::anchors::LevelAnchors;
use super::boxes::{Box2, Candidate, apply_deltas, batched_nms, clip};
use super::config::ModelConfig;
use super::fpn::STRIDES;
use super::layers::{Conv, ConvSpec, Norm};
use super::{Error, Result, Stop, check_cancelled};

/// Class-agnostic regions in pixels of the resized image, best first, with their objectness logits.
#[derive(Debug, Clone, Default)]
pub struct Proposals {
    pub boxes: Vec<Box2>,
    pub logits: Vec<f32>,
}

#[derive(Debug)]
pub struct Rpn {
    pub(super) head: RpnHead,
    pub(super) decoder: RpnDecoder,
}

#[derive(Debug)]
pub(super) struct RpnHead {
    pub conv: Conv,
    pub objectness_logits: Conv,
    pub anchor_deltas: Conv,
}

/// Anchors, and what becomes of the head's predictions.
#[derive(Debug)]
pub(super) struct RpnDecoder {
    pub anchors: Vec<LevelAnchors>,
    pub weights: [f32; 4],
    pub nms_threshold: f32,
    pub pre_nms_topk: usize,
    pub post_nms_topk: usize,
    pub min_size: f32,
}

impl Rpn {
    pub fn load(cfg: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        if cfg.rpn.in_features != ["p2", "p3", "p4", "p5", "p6"] {
            let value = format!("{:?}", cfg.rpn.in_features);
            return Err(Error::Unsupported { key: "MODEL.RPN.IN_FEATURES", value, supported: "p2 to p6" });
        }
        let anchors = LevelAnchors::for_levels(&cfg.anchor_generator, &STRIDES);
        let count = anchors[0].per_cell();
        if anchors.iter().any(|a| a.per_cell() != count) {
            return Err(Error::Config("MODEL.ANCHOR_GENERATOR must give each level the same number of anchors".into()));
        }
        let vb = vb.pp("rpn_head");
        let channels = cfg.fpn.out_channels;
        let conv = |name, output, kernel| Conv::load(vb.pp(name), channels, output, ConvSpec::new(kernel, Norm::None));
        let head = RpnHead {
            conv: conv("conv", channels, 3)?,
            objectness_logits: conv("objectness_logits", count, 1)?,
            anchor_deltas: conv("anchor_deltas", count * 4, 1)?,
        };
        let decoder = RpnDecoder {
            anchors,
            weights: cfg.rpn.bbox_reg_weights,
            nms_threshold: cfg.rpn.nms_thresh,
            pre_nms_topk: cfg.rpn.pre_nms_topk_test,
            post_nms_topk: cfg.rpn.post_nms_topk_test,
            min_size: cfg.proposal_generator.min_size,
        };
        Ok(Self { head, decoder })
    }

    /// Proposals from p2 … p6 for a resized image of `width` × `height` pixels (before padding).
    pub fn forward(&self, features: &[Tensor], width: usize, height: usize, stop: Stop<'_>) -> Result<Proposals> {
        let mut candidates = vec![];
        for (level, feature) in features.iter().enumerate() {
            check_cancelled(stop)?;
            let x = self.head.conv.forward(feature)?.relu()?;
            let logits = self.head.objectness_logits.forward(&x)?;
            let deltas = self.head.anchor_deltas.forward(&x)?;
            let (_, count, h, w) = logits.dims4()?;
            // In the order (y, x, anchor).
            let logits = logits.permute((0, 2, 3, 1))?.flatten_all()?.to_vec1::<f32>()?;
            let deltas = deltas.flatten_all()?.to_vec1::<f32>()?;
            let delta = |cell, a| std::array::from_fn(|k| deltas[(a * 4 + k) * h * w + cell]);
            self.decoder.decode(level, w, count, &logits, delta, (width, height), &mut candidates);
        }
        Ok(self.decoder.select(&candidates))
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

    /// The level's best `pre_nms_topk` anchors, decoded, clipped, and without the empty ones. The level is `w` cells wide and has `count`
    /// anchors a cell; `logits` are in the order (y, x, anchor), `delta` is asked for a cell and an anchor.
    #[allow(clippy::too_many_arguments, reason = "what a head's answer consists of")]
    pub fn decode(
        &self,
        level: usize,
        w: usize,
        count: usize,
        logits: &[f32],
        delta: impl Fn(usize, usize) -> [f32; 4],
        (width, height): (usize, usize),
        candidates: &mut Vec<Candidate>,
    ) {
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
