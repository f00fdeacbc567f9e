//! Feature pyramid on a ResNet (`detectron2/modeling/backbone/fpn.py`, `build_resnet_fpn_backbone`).

use candle_nn::VarBuilder;

use super::resnet::ResNet;
use crate::rcnn::backend::{Backend, PostOps, Role};
use crate::rcnn::config::{FuseType, ModelConfig, only, unsupported};
use crate::rcnn::geometry::level::FeatureLevel;
use crate::rcnn::layers::{Conv, ConvSpec, Norm};
use crate::rcnn::{Result, Watch};

/// The input's sides must be multiples of this, in pixels.
pub const SIZE_DIVISIBILITY: usize = 32;

#[derive(Debug)]
pub struct Fpn<B: Backend> {
    bottom_up: ResNet<B>,
    lateral: Vec<B::Conv>,
    output: Vec<B::Conv>,
    fuse: FuseType,
    /// Whether the stem, and each stage, hands its maps on split.
    split: Vec<bool>,
    /// p2 … p6.
    pub levels: Vec<FeatureLevel>,
}

impl<B: Backend> Fpn<B> {
    pub fn load(cfg: &ModelConfig, vb: VarBuilder, backend: &B) -> Result<Self> {
        only("MODEL.BACKBONE.NAME", &cfg.backbone.name, "build_resnet_fpn_backbone")?;
        let r = &cfg.resnets;
        unsupported(r.res5_dilation != 1, "MODEL.RESNETS.RES5_DILATION", &r.res5_dilation.to_string(), "1")?;
        let deformable = r.deform_on_per_stage.contains(&true);
        unsupported(deformable, "MODEL.RESNETS.DEFORM_ON_PER_STAGE", "true", "plain convolutions")?;
        let of = format!("{:?}", cfg.fpn.in_features);
        let from = ["res2", "res3", "res4", "res5"];
        unsupported(cfg.fpn.in_features != from, "MODEL.FPN.IN_FEATURES", &of, "res2 to res5")?;
        let norm = Norm::parse("MODEL.FPN.NORM", &cfg.fpn.norm)?;
        let channels = cfg.fpn.out_channels;
        let mut lateral = vec![];
        let mut output = vec![];
        for level in 2..=5 {
            let input = cfg.resnets.res2_out_channels << (level - 2);
            let load = |kind: &str, input, kernel| {
                let vb = vb.pp(format!("fpn_{kind}{level}"));
                backend.pack_conv(Conv::load(vb, input, channels, ConvSpec::new(kernel, norm))?, Role::Backbone)
            };
            lateral.push(load("lateral", input, 1)?);
            output.push(load("output", channels, 3)?);
        }
        let bottom_up = ResNet::load(&cfg.resnets, vb.pp("bottom_up"), backend)?;
        let split = bottom_up.plan_layouts(backend, &lateral);
        let level = |i: usize| FeatureLevel { name: format!("p{i}"), stride: 1 << i, channels };
        Ok(Self { bottom_up, lateral, output, fuse: cfg.fpn.fuse_type, split, levels: (2..=6).map(level).collect() })
    }

    /// [1, 3, H, W] → p2 … p6, each [1, C, H/stride, W/stride].
    pub fn forward(&self, backend: &B, image: B::Image<'_>, watch: &mut Watch<'_>) -> Result<Vec<B::Map>> {
        let mut below = self.bottom_up.forward(backend, image, &self.split, watch)?;
        let mut features = Vec::with_capacity(self.levels.len());
        let mut above: Option<B::Map> = None;
        // Where res3 to res5 are, the largest merged map is made.
        let mut room = match (self.lateral.first(), below.first()) {
            (Some(conv), Some(level)) => backend.reserve(conv, level, &below[1..])?,
            _ => None,
        };
        let mut spent = vec![];
        for (i, (lateral, output)) in self.lateral.iter().zip(&self.output).enumerate().rev() {
            watch.check_cancelled()?;
            let Some(level) = below.pop() else { break };
            if i == 0 {
                spent.clear();
                room = None;
            }
            let mut merged = backend.conv(lateral, &level, PostOps::default())?;
            match room {
                Some(_) => spent.push(level),
                None => drop(level),
            }
            watch.mark("pyramid");
            if let Some(above) = above {
                merged = backend.upsample_add(merged, &above, self.fuse == FuseType::Avg)?;
            }
            watch.mark("upsampling");
            features.push(backend.conv(output, &merged, PostOps::default())?);
            watch.mark("pyramid");
            above = Some(merged);
        }
        drop(room);
        // LastLevelMaxPool
        let top = features.first().map(|p5| backend.subsample(p5)).transpose()?;
        features.reverse();
        features.extend(top);
        Ok(features)
    }
}
