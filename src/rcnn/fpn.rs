//! Feature pyramid on a ResNet (`detectron2/modeling/backbone/fpn.py`, `build_resnet_fpn_backbone`).

use candle_core::Tensor;
use candle_nn::VarBuilder;

use super::config::{FuseType, ModelConfig};
use super::layers::{Conv, ConvSpec, Norm};
use super::resnet::{Convert, ResNet};
use super::{Error, Result, Stop, check_cancelled};

/// The input's sides must be multiples of this, in pixels.
pub const SIZE_DIVISIBILITY: usize = 32;
/// Strides of p2 … p6 with respect to the input.
pub const STRIDES: [usize; 5] = [4, 8, 16, 32, 64];

#[derive(Debug)]
pub struct Fpn<S = Conv, C = Conv> {
    pub(super) bottom_up: ResNet<S, C>,
    pub(super) lateral: Vec<C>,
    pub(super) output: Vec<C>,
    pub(super) fuse: FuseType,
}

impl<S, C> Fpn<S, C> {
    pub(super) fn load(cfg: &ModelConfig, vb: VarBuilder, convert: &Convert<'_, S, C>) -> Result<Self> {
        if cfg.fpn.in_features != ["res2", "res3", "res4", "res5"] {
            let value = format!("{:?}", cfg.fpn.in_features);
            return Err(Error::Unsupported { key: "MODEL.FPN.IN_FEATURES", value, supported: "res2 to res5" });
        }
        let norm = Norm::parse("MODEL.FPN.NORM", &cfg.fpn.norm)?;
        let channels = cfg.fpn.out_channels;
        let mut lateral = vec![];
        let mut output = vec![];
        for level in 2..=5 {
            let input = cfg.resnets.res2_out_channels << (level - 2);
            let name = |kind: &str| vb.pp(format!("fpn_{kind}{level}"));
            let load =
                |name, input, kernel| (convert.layer)(Conv::load(name, input, channels, ConvSpec::new(kernel, norm))?);
            lateral.push(load(name("lateral"), input, 1)?);
            output.push(load(name("output"), channels, 3)?);
        }
        let bottom_up = ResNet::load(&cfg.resnets, vb.pp("bottom_up"), convert)?;
        Ok(Self { bottom_up, lateral, output, fuse: cfg.fpn.fuse_type })
    }
}

impl Fpn {
    /// [1, 3, H, W] → p2 … p6, each [1, C, H/stride, W/stride].
    pub fn forward(&self, x: &Tensor, stop: Stop<'_>) -> Result<Vec<Tensor>> {
        let bottom_up = self.bottom_up.forward(x, stop)?;
        let mut features = Vec::with_capacity(5);
        let mut above: Option<Tensor> = None;
        for level in (0..4).rev() {
            let mut merged = self.lateral[level].forward(&bottom_up[level])?;
            if let Some(above) = above {
                let (_, _, h, w) = merged.dims4()?;
                merged = (merged + above.upsample_nearest2d(h, w)?)?;
                if self.fuse == FuseType::Avg {
                    merged = (merged / 2.0)?;
                }
            }
            check_cancelled(stop)?;
            features.insert(0, self.output[level].forward(&merged)?);
            above = Some(merged);
        }
        // LastLevelMaxPool: kernel 1, stride 2
        features.push(features[3].max_pool2d_with_stride(1, 2)?);
        Ok(features)
    }
}
