//! The mask head (`MaskRCNNConvUpsampleHead`).

use candle_nn::{Linear, VarBuilder};

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
    /// The transposed convolution as a layer of each cell, which makes the four that come of it.
    deconv: B::Linear,
    predictor: B::Linear,
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
        let deconv = deconv(vb.pp("deconv"), channels, head.conv_dim, B::padded(head.conv_dim))?;
        let classes = if head.cls_agnostic_mask { 1 } else { cfg.roi_heads.num_classes };
        let predictor = Conv::load(vb.pp("predictor"), head.conv_dim, classes, ConvSpec::new(1, Norm::None))?;
        Ok(Self {
            pooler: Pooler::new(head.pooler_resolution, head.pooler_sampling_ratio, levels),
            convs,
            deconv: backend.pack_linear(&deconv, None, false)?,
            predictor: backend.pack_linear(&predictor.to_linear()?, Some(1), true)?,
            class_agnostic: head.cls_agnostic_mask,
        })
    }

    /// Pooled RoIs [N, C, R, R] → [4 · N · R · R, K, 1, 1]: the logits of the four cells that come of each, row by row.
    pub fn predict(&self, backend: &B, mut x: B::Map, watch: &Watch<'_>) -> Result<B::Map> {
        for conv in &self.convs {
            watch.check_cancelled()?;
            x = backend.conv(conv, &x, PostOps::relu())?;
        }
        let quarters = backend.quarters(backend.linear(&self.deconv, &x, true)?)?;
        backend.linear(&self.predictor, &quarters, false)
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
            let logits = self.predict(backend, x, watch)?;
            let host = backend.to_host(&logits)?;
            for (i, &class) in classes.iter().enumerate() {
                let channel = if self.class_agnostic { 0 } else { class };
                let cells = (0..self.side()).flat_map(|y| (0..self.side()).map(move |x| (y, x)));
                let probability = |(y, x): (usize, usize)| {
                    let cell = (i * self.pooler.resolution + y / 2) * self.pooler.resolution + x / 2;
                    let logit = host.data[(cell * 4 + y % 2 * 2 + x % 2) * host.stride + channel];
                    1.0 / (1.0 + (-logit).exp())
                };
                masks.push(cells.map(probability).collect());
            }
            watch.mark("mask head");
        }
        Ok(masks)
    }
}

/// A transposed convolution of 2 × 2 at stride 2 as a fully connected layer, whose results are the channels of the upper left cell, the upper right, the
/// lower left and the lower right, each padded to `width`.
fn deconv(vb: VarBuilder, input: usize, output: usize, width: usize) -> Result<Linear> {
    let weight = vb.get((input, output, 2, 2), "weight")?.permute((2, 3, 1, 0))?;
    let weight = weight.pad_with_zeros(2, 0, width - output)?.reshape((4 * width, input))?;
    let bias = vb.get(output, "bias")?.pad_with_zeros(0, 0, width - output)?;
    Ok(Linear::new(weight, Some(bias.repeat(4)?)))
}
