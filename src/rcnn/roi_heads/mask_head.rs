//! The mask head (`MaskRCNNConvUpsampleHead`).

use candle_nn::{ConvTranspose2d, ConvTranspose2dConfig, VarBuilder};

use super::Pooler;
use crate::rcnn::backbone::{FeatureLevel, pick};
use crate::rcnn::backend::{HostBackend, PostOps, Role};
use crate::rcnn::config::ModelConfig;
use crate::rcnn::detection::Instances;
use crate::rcnn::layers::{Conv, ConvSpec, Norm};
use crate::rcnn::{Result, Watch};

/// How many RoIs are taken at once; it bounds the memory that their 28 × 28 maps take.
const CHUNK: usize = 32;

/// A mask head as it is read.
#[derive(Debug)]
pub struct MaskHeadWeights {
    pub pooler: Pooler,
    pub convs: Vec<Conv>,
    pub deconv: ConvTranspose2d,
    pub predictor: Conv,
    pub class_agnostic: bool,
}

impl MaskHeadWeights {
    pub fn load(cfg: &ModelConfig, vb: VarBuilder, levels: &[FeatureLevel]) -> Result<Self> {
        let head = &cfg.roi_mask_head;
        let levels = pick(levels, &cfg.roi_heads.in_features, "MODEL.ROI_HEADS.IN_FEATURES")?;
        let norm = Norm::parse("MODEL.ROI_MASK_HEAD.NORM", &head.norm)?;
        let vb = vb.pp("mask_head");
        let mut channels = levels[0].channels;
        let mut convs = vec![];
        for i in 1..=head.num_conv {
            let spec = ConvSpec::new(3, norm);
            convs.push(Conv::load(vb.pp(format!("mask_fcn{i}")), channels, head.conv_dim, spec)?);
            channels = head.conv_dim;
        }
        let deconv = ConvTranspose2dConfig { stride: 2, ..Default::default() };
        let classes = if head.cls_agnostic_mask { 1 } else { cfg.roi_heads.num_classes };
        Ok(Self {
            pooler: Pooler::new(head.pooler_resolution, head.pooler_sampling_ratio, levels),
            convs,
            deconv: candle_nn::conv_transpose2d(channels, head.conv_dim, 2, deconv, vb.pp("deconv"))?,
            predictor: Conv::load(vb.pp("predictor"), head.conv_dim, classes, ConvSpec::new(1, Norm::None))?,
            class_agnostic: head.cls_agnostic_mask,
        })
    }
}

/// Ready to run.
#[derive(Debug)]
pub struct MaskHead<B: HostBackend> {
    pooler: Pooler,
    convs: Vec<B::Conv>,
    predictor: B::MaskPredictor,
    class_agnostic: bool,
}

impl<B: HostBackend> MaskHead<B> {
    pub fn pack(backend: &B, weights: MaskHeadWeights) -> Result<Self> {
        let MaskHeadWeights { pooler, convs, deconv, predictor, class_agnostic } = weights;
        let convs = convs.into_iter().map(|conv| backend.pack_conv(conv, Role::Heads)).collect::<Result<_>>()?;
        let predictor = backend.pack_mask_predictor(&deconv, &predictor)?;
        Ok(Self { pooler, convs, predictor, class_agnostic })
    }

    /// Mask probabilities of each instance's own class, as [N, 2R, 2R] row by row.
    pub fn forward(
        &self,
        backend: &B,
        features: &[B::Map],
        instances: &Instances,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Vec<f32>>> {
        let mut masks = Vec::with_capacity(instances.boxes.len());
        for (boxes, classes) in instances.boxes.chunks(CHUNK).zip(instances.classes.chunks(CHUNK)) {
            let mut x = backend.roi_align(&self.pooler, features, boxes)?;
            watch.mark("RoIAlign");
            for conv in &self.convs {
                watch.check_cancelled()?;
                x = backend.conv(conv, &x, PostOps::relu())?;
            }
            let channels = if self.class_agnostic { vec![0; classes.len()] } else { classes.to_vec() };
            let mut logits = backend.mask_logits(&self.predictor, &x, &channels)?;
            logits.iter_mut().flatten().for_each(|v| *v = 1.0 / (1.0 + (-*v).exp()));
            masks.append(&mut logits);
            watch.mark("mask head");
        }
        Ok(masks)
    }

    /// The side of the masks, in cells.
    pub fn side(&self) -> usize {
        self.pooler.resolution * 2
    }
}
