//! The mask head (`MaskRCNNConvUpsampleHead`).

use candle_nn::{ConvTranspose2dConfig, VarBuilder};

use crate::rcnn::backend::{Backend, HostBackend, PostOps, Role};
use crate::rcnn::config::ModelConfig;
use crate::rcnn::detection::Instances;
use crate::rcnn::geometry::level::{FeatureLevel, pick};
use crate::rcnn::geometry::pooler::Pooler;
use crate::rcnn::layers::{Conv, ConvSpec, Norm};
use crate::rcnn::{Result, Watch};

/// How many RoIs are taken at once; it bounds the memory that their 28 × 28 maps take.
const CHUNK: usize = 32;

#[derive(Debug)]
pub struct MaskHead<B: Backend> {
    pub pooler: Pooler,
    convs: Vec<B::Conv>,
    pub predictor: B::MaskPredictor,
    pub class_agnostic: bool,
}

impl<B: Backend> MaskHead<B> {
    pub fn load(backend: &B, cfg: &ModelConfig, vb: VarBuilder, levels: &[FeatureLevel]) -> Result<Self> {
        let head = &cfg.roi_mask_head;
        let levels = pick(levels, &cfg.roi_heads.in_features, "MODEL.ROI_HEADS.IN_FEATURES")?;
        let norm = Norm::parse("MODEL.ROI_MASK_HEAD.NORM", &head.norm)?;
        let vb = vb.pp("mask_head");
        let mut channels = levels[0].channels;
        let mut convs = vec![];
        for i in 1..=head.num_conv {
            let spec = ConvSpec::new(3, norm);
            let conv = Conv::load(vb.pp(format!("mask_fcn{i}")), channels, head.conv_dim, spec)?;
            convs.push(backend.pack_conv(conv, Role::Heads)?);
            channels = head.conv_dim;
        }
        let spec = ConvTranspose2dConfig { stride: 2, ..Default::default() };
        let deconv = candle_nn::conv_transpose2d(channels, head.conv_dim, 2, spec, vb.pp("deconv"))?;
        let classes = if head.cls_agnostic_mask { 1 } else { cfg.roi_heads.num_classes };
        let predictor = Conv::load(vb.pp("predictor"), head.conv_dim, classes, ConvSpec::new(1, Norm::None))?;
        Ok(Self {
            pooler: Pooler::new(head.pooler_resolution, head.pooler_sampling_ratio, levels),
            convs,
            predictor: backend.pack_mask_predictor(&deconv, &predictor)?,
            class_agnostic: head.cls_agnostic_mask,
        })
    }

    /// Pooled RoIs [N, C, R, R] → what the predictor reads.
    pub fn features(&self, backend: &B, mut x: B::Map, watch: &Watch<'_>) -> Result<B::Map> {
        for conv in &self.convs {
            watch.check_cancelled()?;
            x = backend.conv(conv, &x, PostOps::relu())?;
        }
        Ok(x)
    }

    /// The side of the masks, in cells.
    pub fn side(&self) -> usize {
        self.pooler.resolution * 2
    }
}

impl<B: HostBackend> MaskHead<B> {
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
            let x = backend.roi_align(&self.pooler, features, boxes)?;
            watch.mark("RoIAlign");
            let x = self.features(backend, x, watch)?;
            let channels = if self.class_agnostic { vec![0; classes.len()] } else { classes.to_vec() };
            let mut logits = backend.mask_logits(&self.predictor, &x, &channels)?;
            logits.iter_mut().flatten().for_each(|v| *v = 1.0 / (1.0 + (-*v).exp()));
            masks.append(&mut logits);
            watch.mark("mask head");
        }
        Ok(masks)
    }
}
