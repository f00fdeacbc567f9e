//! ResNet and ResNeXt with bottleneck blocks (`detectron2/modeling/backbone/resnet.py`).

use candle_core::Tensor;
use candle_nn::VarBuilder;

use super::config::Resnets;
use super::layers::{Conv, ConvSpec, Norm};
use super::{Error, Result, Stop, check_cancelled};

/// Stem (stride 4) and stages res2 to res5 (strides 4 to 32).
#[derive(Debug)]
pub struct ResNet<S = Conv, C = Conv> {
    pub(super) stem: S,
    pub(super) stages: Vec<Vec<Bottleneck<C>>>,
}

#[derive(Debug)]
pub(super) struct Bottleneck<C = Conv> {
    pub(super) conv1: C,
    pub(super) conv2: C,
    pub(super) conv3: C,
    pub(super) shortcut: Option<C>,
}

/// What becomes of each convolution as soon as it is read, so that large models are never in memory twice.
pub(super) struct Convert<'a, S, C> {
    pub stem: &'a dyn Fn(Conv) -> Result<S>,
    pub layer: &'a dyn Fn(Conv) -> Result<C>,
}

impl<S, C> ResNet<S, C> {
    pub(super) fn load(cfg: &Resnets, vb: VarBuilder, convert: &Convert<'_, S, C>) -> Result<Self> {
        let norm = Norm::parse("MODEL.RESNETS.NORM", &cfg.norm)?;
        let blocks: [usize; 4] = match cfg.depth {
            50 => [3, 4, 6, 3],
            101 => [3, 4, 23, 3],
            152 => [3, 8, 36, 3],
            other => {
                let supported = "50, 101 and 152";
                return Err(Error::Unsupported { key: "MODEL.RESNETS.DEPTH", value: other.to_string(), supported });
            }
        };
        // No convolution of Detectron2's ResNets has a bias, whatever the norm.
        let stem_spec = ConvSpec { stride: 2, bias: false, ..ConvSpec::new(7, norm) };
        let stem = (convert.stem)(Conv::load(vb.pp("stem").pp("conv1"), 3, cfg.stem_out_channels, stem_spec)?)?;
        let mut input = cfg.stem_out_channels;
        let mut stages = Vec::with_capacity(4);
        for (stage, &count) in blocks.iter().enumerate() {
            let vb = vb.pp(format!("res{}", stage + 2));
            let output = cfg.res2_out_channels << stage;
            let bottleneck = (cfg.num_groups * cfg.width_per_group) << stage;
            let mut layers = Vec::with_capacity(count);
            for block in 0..count {
                let stride = if block == 0 && stage > 0 { 2 } else { 1 };
                let channels = [input, bottleneck, output];
                layers.push(Bottleneck::load(cfg, vb.pp(block), norm, channels, stride, convert.layer)?);
                input = output;
            }
            stages.push(layers);
        }
        Ok(Self { stem, stages })
    }
}

impl ResNet {
    /// [1, 3, H, W] → res2 … res5, each [1, C·2ⁱ, H/2ⁱ⁺², W/2ⁱ⁺²].
    pub fn forward(&self, x: &Tensor, stop: Stop<'_>) -> Result<Vec<Tensor>> {
        let x = self.stem.forward(x)?.relu()?;
        // After a ReLU nothing is below zero, so padding with zeros is max-pooling's own padding.
        let mut x = x.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?.max_pool2d_with_stride(3, 2)?;
        let mut features = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            for block in stage {
                check_cancelled(stop)?;
                x = block.forward(&x)?;
            }
            features.push(x.clone());
        }
        Ok(features)
    }
}

impl<C> Bottleneck<C> {
    fn load(
        cfg: &Resnets,
        vb: VarBuilder,
        norm: Norm,
        channels: [usize; 3],
        stride: usize,
        convert: &dyn Fn(Conv) -> Result<C>,
    ) -> Result<Self> {
        let [input, bottleneck, output] = channels;
        let (stride1, stride3) = if cfg.stride_in_1x1 { (stride, 1) } else { (1, stride) };
        let one = ConvSpec { bias: false, ..ConvSpec::new(1, norm) };
        let conv2 = ConvSpec { kernel: 3, stride: stride3, groups: cfg.num_groups, ..one };
        let shortcut = ConvSpec { stride, ..one };
        let load = |name, input, output, spec| convert(Conv::load(vb.pp(name), input, output, spec)?);
        Ok(Self {
            conv1: load("conv1", input, bottleneck, ConvSpec { stride: stride1, ..one })?,
            conv2: load("conv2", bottleneck, bottleneck, conv2)?,
            conv3: load("conv3", bottleneck, output, one)?,
            shortcut: (input != output).then(|| load("shortcut", input, output, shortcut)).transpose()?,
        })
    }
}

impl Bottleneck {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.conv1.forward(x)?.relu()?;
        let y = self.conv2.forward(&y)?.relu()?;
        let y = self.conv3.forward(&y)?;
        let shortcut = self.shortcut.as_ref().map(|s| s.forward(x)).transpose()?;
        Ok((y + shortcut.as_ref().unwrap_or(x))?.relu()?)
    }
}
