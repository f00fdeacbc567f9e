//! The box head (`FastRCNNConvFCHead`) and what it reports (`FastRCNNOutputLayers`).

use candle_nn::VarBuilder;

use crate::rcnn::backend::{Backend, HostBackend, PostOps, Role};
use crate::rcnn::config::Config;
use crate::rcnn::detection::Instances;
use crate::rcnn::geometry::boxes::{Box2, Candidate, apply_deltas, batched_nms, clip};
use crate::rcnn::geometry::level::{FeatureLevel, pick};
use crate::rcnn::geometry::pooler::Pooler;
use crate::rcnn::layers::{Conv, ConvSpec, Norm, join};
use crate::rcnn::proposals::Proposals;
use crate::rcnn::{Result, Watch};

/// How many RoIs are taken at once: few enough to bound their memory, and enough that the weights are not read too often.
const CHUNK: usize = 504;

#[derive(Debug)]
pub struct BoxHead<B: Backend> {
    pub pooler: Pooler,
    convs: Vec<B::Conv>,
    fcs: Vec<B::Linear>,
    /// Logits of the classes and the background, then deltas.
    predictor: B::Linear,
    pub selection: Selection,
}

/// Which of the box head's predictions are reported.
#[derive(Debug)]
pub struct Selection {
    pub num_classes: usize,
    pub class_agnostic: bool,
    /// Values of a proposal's deltas: 4 for all classes, or for each.
    pub deltas: usize,
    pub weights: [f32; 4],
    pub nms_threshold: f32,
    pub topk: usize,
}

impl<B: Backend> BoxHead<B> {
    pub fn load(backend: &B, config: &Config, vb: VarBuilder, levels: &[FeatureLevel]) -> Result<Self> {
        let (cfg, head) = (&config.model, &config.model.roi_box_head);
        let levels = pick(levels, &cfg.roi_heads.in_features, "MODEL.ROI_HEADS.IN_FEATURES")?;
        let norm = Norm::parse("MODEL.ROI_BOX_HEAD.NORM", &head.norm)?;
        let box_head = vb.pp("box_head");
        let mut channels = levels[0].channels;
        let mut convs = vec![];
        for i in 1..=head.num_conv {
            let spec = ConvSpec::new(3, norm);
            let conv = Conv::load(box_head.pp(format!("conv{i}")), channels, head.conv_dim, spec)?;
            convs.push(backend.pack_conv(conv, Role::Heads)?);
            channels = head.conv_dim;
        }
        let mut width = channels * head.pooler_resolution.pow(2);
        // The first layer reads a flattened map.
        let mut cells = Some(head.pooler_resolution.pow(2));
        let mut fcs = vec![];
        for i in 1..=head.num_fc {
            let fc = candle_nn::linear(width, head.fc_dim, box_head.pp(format!("fc{i}")))?;
            fcs.push(backend.pack_linear(&fc, cells.take(), false)?);
            width = head.fc_dim;
        }
        let num_classes = cfg.roi_heads.num_classes;
        let regressions = if head.cls_agnostic_bbox_reg { 1 } else { num_classes };
        let predictor = vb.pp("box_predictor");
        let cls_score = candle_nn::linear(width, num_classes + 1, predictor.pp("cls_score"))?;
        let bbox_pred = candle_nn::linear(width, regressions * 4, predictor.pp("bbox_pred"))?;
        Ok(Self {
            pooler: Pooler::new(head.pooler_resolution, head.pooler_sampling_ratio, levels),
            convs,
            fcs,
            predictor: backend.pack_linear(&join(&[&cls_score, &bbox_pred])?, cells.take(), true)?,
            selection: Selection {
                num_classes,
                class_agnostic: head.cls_agnostic_bbox_reg,
                deltas: regressions * 4,
                weights: head.bbox_reg_weights,
                nms_threshold: cfg.roi_heads.nms_thresh_test,
                topk: config.test.detections_per_image,
            },
        })
    }

    /// Pooled RoIs [N, C, R, R] → for each K + 1 class logits, background last, then its deltas.
    pub fn predict(&self, backend: &B, mut x: B::Map, watch: &Watch<'_>) -> Result<B::Map> {
        for conv in &self.convs {
            watch.check_cancelled()?;
            x = backend.conv(conv, &x, PostOps::relu())?;
        }
        let mut x = backend.flatten(x)?;
        for fc in &self.fcs {
            watch.check_cancelled()?;
            x = backend.linear(fc, &x, true)?;
        }
        backend.linear(&self.predictor, &x, false)
    }
}

/// For each proposal its class logits [K + 1], background last, and its deltas [4K] or [4].
#[derive(Debug, Default)]
pub struct BoxPredictions {
    pub logits: Vec<Vec<f32>>,
    pub deltas: Vec<Vec<f32>>,
}

impl<B: HostBackend> BoxHead<B> {
    pub fn forward(
        &self,
        backend: &B,
        features: &[B::Map],
        boxes: &[Box2],
        watch: &mut Watch<'_>,
    ) -> Result<BoxPredictions> {
        let classes = self.selection.num_classes + 1;
        let mut predictions = BoxPredictions::default();
        for boxes in boxes.chunks(CHUNK) {
            let x = backend.roi_align(&self.pooler, features, boxes)?;
            watch.mark("RoIAlign");
            let x = self.predict(backend, x, watch)?;
            let rows = backend.to_host(&x)?;
            for row in rows.data.chunks_exact(rows.stride) {
                predictions.logits.push(row[..classes].to_vec());
                predictions.deltas.push(row[classes..][..self.selection.deltas].to_vec());
            }
            watch.mark("box head");
        }
        Ok(predictions)
    }
}

fn softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter_mut().for_each(|v| *v = (*v - largest).exp());
    let sum: f32 = logits.iter().sum();
    logits.iter_mut().for_each(|v| *v /= sum);
}

impl Selection {
    /// Scores above `threshold`, suppressed per class, best first (`fast_rcnn_inference_single_image`). `size` is the resized image's.
    pub fn select(
        &self,
        proposals: &Proposals,
        mut predictions: BoxPredictions,
        (width, height): (usize, usize),
        threshold: f32,
    ) -> Instances {
        let mut candidates = vec![];
        let rows = predictions.logits.iter_mut().zip(&predictions.deltas);
        for (proposal, (scores, deltas)) in proposals.boxes.iter().zip(rows) {
            softmax(scores);
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
