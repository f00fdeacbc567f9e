//! Box and mask heads (`detectron2/modeling/roi_heads`: `StandardROIHeads`, `FastRCNNConvFCHead`, `FastRCNNOutputLayers`,
//! `MaskRCNNConvUpsampleHead`).

use candle_core::{Module, Tensor};
use candle_nn::{ConvTranspose2d, ConvTranspose2dConfig, Linear, VarBuilder, ops};

use super::boxes::{Box2, Candidate, apply_deltas, batched_nms, clip};
use super::config::{Config, ModelConfig, RoiMaskHead};
use super::layers::{Conv, ConvSpec, Norm};
use super::pooler::Pooler;
use super::rpn::Proposals;
use super::{Error, Result, Stop, check_cancelled};

/// How many RoIs the mask head takes at once; it bounds the memory that its 28 × 28 maps take.
pub(super) const MASK_CHUNK: usize = 32;

/// What was found in one image, in pixels of the resized image, best first.
#[derive(Debug, Clone, Default)]
pub struct Instances {
    pub boxes: Vec<Box2>,
    pub scores: Vec<f32>,
    pub classes: Vec<usize>,
}

#[derive(Debug)]
pub struct BoxHead {
    pub pooler: Pooler,
    pub(super) convs: Vec<Conv>,
    pub(super) fcs: Vec<Linear>,
    pub(super) cls_score: Linear,
    pub(super) bbox_pred: Linear,
    pub(super) selection: Selection,
}

/// Which of the box head's predictions are reported.
#[derive(Debug)]
pub(super) struct Selection {
    pub num_classes: usize,
    pub class_agnostic: bool,
    pub weights: [f32; 4],
    pub nms_threshold: f32,
    pub topk: usize,
}

impl BoxHead {
    pub fn load(config: &Config, vb: VarBuilder) -> Result<Self> {
        let (cfg, head) = (&config.model, &config.model.roi_box_head);
        if cfg.roi_heads.in_features != ["p2", "p3", "p4", "p5"] {
            let value = format!("{:?}", cfg.roi_heads.in_features);
            return Err(Error::Unsupported { key: "MODEL.ROI_HEADS.IN_FEATURES", value, supported: "p2 to p5" });
        }
        let norm = Norm::parse("MODEL.ROI_BOX_HEAD.NORM", &head.norm)?;
        let box_head = vb.pp("box_head");
        let mut channels = cfg.fpn.out_channels;
        let mut convs = vec![];
        for i in 1..=head.num_conv {
            let spec = ConvSpec::new(3, norm);
            convs.push(Conv::load(box_head.pp(format!("conv{i}")), channels, head.conv_dim, spec)?);
            channels = head.conv_dim;
        }
        let mut width = channels * head.pooler_resolution.pow(2);
        let mut fcs = vec![];
        for i in 1..=head.num_fc {
            fcs.push(candle_nn::linear(width, head.fc_dim, box_head.pp(format!("fc{i}")))?);
            width = head.fc_dim;
        }
        let num_classes = cfg.roi_heads.num_classes;
        let regressions = if head.cls_agnostic_bbox_reg { 1 } else { num_classes };
        let predictor = vb.pp("box_predictor");
        Ok(Self {
            pooler: Pooler { resolution: head.pooler_resolution, sampling_ratio: head.pooler_sampling_ratio },
            convs,
            fcs,
            cls_score: candle_nn::linear(width, num_classes + 1, predictor.pp("cls_score"))?,
            bbox_pred: candle_nn::linear(width, regressions * 4, predictor.pp("bbox_pred"))?,
            selection: Selection {
                num_classes,
                class_agnostic: head.cls_agnostic_bbox_reg,
                weights: head.bbox_reg_weights,
                nms_threshold: cfg.roi_heads.nms_thresh_test,
                topk: config.test.detections_per_image,
            },
        })
    }

    /// Pooled features [N, C, R, R] → class logits [N, K+1], background last, and deltas [N, 4K].
    pub fn forward(&self, pooled: &Tensor) -> Result<(Tensor, Tensor)> {
        let mut x = pooled.clone();
        for conv in &self.convs {
            x = conv.forward(&x)?.relu()?;
        }
        let mut x = x.flatten_from(1)?;
        for fc in &self.fcs {
            x = fc.forward(&x)?.relu()?;
        }
        Ok((self.cls_score.forward(&x)?, self.bbox_pred.forward(&x)?))
    }

    /// Scores above `threshold`, suppressed per class, best first (`fast_rcnn_inference_single_image`).
    pub fn select(
        &self,
        proposals: &Proposals,
        logits: &Tensor,
        deltas: &Tensor,
        size: (usize, usize),
        threshold: f32,
    ) -> Result<Instances> {
        let scores = ops::softmax(logits, 1)?.to_vec2::<f32>()?;
        Ok(self.selection.select(proposals, &scores, &deltas.to_vec2::<f32>()?, size, threshold))
    }
}

impl Selection {
    /// `scores` and `deltas` have a row for each proposal.
    pub fn select(
        &self,
        proposals: &Proposals,
        scores: &[Vec<f32>],
        deltas: &[Vec<f32>],
        (width, height): (usize, usize),
        threshold: f32,
    ) -> Instances {
        let mut candidates = vec![];
        for ((proposal, scores), deltas) in proposals.boxes.iter().zip(scores).zip(deltas) {
            if !scores.iter().chain(deltas).all(|v| v.is_finite()) {
                continue;
            }
            for class in (0..self.num_classes).filter(|&c| scores[c] > threshold) {
                let at = if self.class_agnostic { 0 } else { class * 4 };
                let delta = std::array::from_fn(|k| deltas[at + k]);
                let decoded = apply_deltas(proposal, delta, &self.weights);
                let bounds = clip(decoded, width as f32, height as f32);
                candidates.push(Candidate { bounds, score: scores[class], group: class });
            }
        }
        let mut kept = batched_nms(&candidates, self.nms_threshold);
        kept.truncate(self.topk);
        let kept = || kept.iter().map(|&i| &candidates[i]);
        Instances {
            boxes: kept().map(|c| c.bounds).collect(),
            scores: kept().map(|c| c.score).collect(),
            classes: kept().map(|c| c.group).collect(),
        }
    }
}

#[derive(Debug)]
pub struct MaskHead {
    pub(super) pooler: Pooler,
    pub(super) convs: Vec<Conv>,
    pub(super) deconv: ConvTranspose2d,
    pub(super) predictor: Conv,
    pub(super) class_agnostic: bool,
}

impl MaskHead {
    pub fn load(cfg: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let head: &RoiMaskHead = &cfg.roi_mask_head;
        let norm = Norm::parse("MODEL.ROI_MASK_HEAD.NORM", &head.norm)?;
        let vb = vb.pp("mask_head");
        let mut channels = cfg.fpn.out_channels;
        let mut convs = vec![];
        for i in 1..=head.num_conv {
            let spec = ConvSpec::new(3, norm);
            convs.push(Conv::load(vb.pp(format!("mask_fcn{i}")), channels, head.conv_dim, spec)?);
            channels = head.conv_dim;
        }
        let deconv = ConvTranspose2dConfig { stride: 2, ..Default::default() };
        let classes = if head.cls_agnostic_mask { 1 } else { cfg.roi_heads.num_classes };
        Ok(Self {
            pooler: Pooler { resolution: head.pooler_resolution, sampling_ratio: head.pooler_sampling_ratio },
            convs,
            deconv: candle_nn::conv_transpose2d(channels, head.conv_dim, 2, deconv, vb.pp("deconv"))?,
            predictor: Conv::load(vb.pp("predictor"), head.conv_dim, classes, ConvSpec::new(1, Norm::None))?,
            class_agnostic: head.cls_agnostic_mask,
        })
    }

    /// Mask probabilities of each instance's own class, as [N, 2R, 2R] row by row.
    pub fn forward(&self, features: &[Tensor], instances: &Instances, stop: Stop<'_>) -> Result<Vec<Vec<f32>>> {
        let mut masks = Vec::with_capacity(instances.boxes.len());
        for (boxes, classes) in instances.boxes.chunks(MASK_CHUNK).zip(instances.classes.chunks(MASK_CHUNK)) {
            check_cancelled(stop)?;
            let mut x = self.pooler.forward(features, boxes)?;
            for conv in &self.convs {
                x = conv.forward(&x)?.relu()?;
            }
            let x = self.deconv.forward(&x)?.relu()?;
            let probabilities = ops::sigmoid(&self.predictor.forward(&x)?)?;
            for (i, &class) in classes.iter().enumerate() {
                let channel = if self.class_agnostic { 0 } else { class };
                masks.push(probabilities.get(i)?.get(channel)?.flatten_all()?.to_vec1()?);
            }
        }
        Ok(masks)
    }

    /// The side of the masks, in cells.
    pub fn side(&self) -> usize {
        self.pooler.resolution * 2
    }
}
