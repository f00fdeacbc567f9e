//! ResNet and ResNeXt with bottleneck blocks (`detectron2/modeling/backbone/resnet.py`).

use candle_nn::VarBuilder;

use crate::rcnn::backend::{Backend, PostOps, Role};
use crate::rcnn::config::Resnets;
use crate::rcnn::layers::{Conv, ConvSpec, Norm};
use crate::rcnn::{Error, Result, Watch};

/// Stem (stride 4) and stages res2 to res5 (strides 4 to 32).
#[derive(Debug)]
pub struct ResNet<B: Backend> {
    pub stem: B::Stem,
    pub stages: Vec<Vec<Bottleneck<B>>>,
}

#[derive(Debug)]
pub struct Bottleneck<B: Backend> {
    conv1: B::Conv,
    conv2: B::Conv,
    conv3: B::Conv,
    shortcut: Option<B::Conv>,
}

impl<B: Backend> ResNet<B> {
    pub fn load(cfg: &Resnets, vb: VarBuilder, backend: &B) -> Result<Self> {
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
        let stem = backend.pack_stem(Conv::load(vb.pp("stem").pp("conv1"), 3, cfg.stem_out_channels, stem_spec)?)?;
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
                layers.push(Bottleneck::load(cfg, vb.pp(block), norm, channels, stride, backend)?);
                input = output;
            }
            stages.push(layers);
        }
        Ok(Self { stem, stages })
    }

    /// [1, 3, H, W] → res2 … res5, each [1, C·2ⁱ, H/2ⁱ⁺², W/2ⁱ⁺²]. `split`: whether the stem, and each stage, hands its maps on split.
    pub fn forward(
        &self,
        backend: &B,
        image: B::Image<'_>,
        split: &[bool],
        watch: &mut Watch<'_>,
    ) -> Result<Vec<B::Map>> {
        let first = self.stages.first().and_then(|stage| stage.first());
        let beside = first.map(|block| (&block.conv3, split[1]));
        let mut below = Some(backend.stem(&self.stem, image, split[0], beside)?);
        watch.mark("stem");
        let mut levels: Vec<B::Map> = Vec::with_capacity(self.stages.len());
        for (stage, &split) in self.stages.iter().zip(&split[1..]) {
            let mut blocks = stage.iter();
            // A level is also read by the pyramid, so the next stage adds nothing to it in place.
            let mut x = match (blocks.next(), below.take(), levels.last()) {
                (Some(first), Some(stem), _) => first.forward_next(backend, stem, split)?,
                (Some(first), None, Some(level)) => first.forward_first(backend, level, split)?,
                _ => return Err(Error::Config("MODEL.RESNETS has a stage without blocks".into())),
            };
            for block in blocks {
                watch.check_cancelled()?;
                x = block.forward_next(backend, x, split)?;
            }
            levels.push(x);
        }
        watch.mark("ResNet");
        Ok(levels)
    }

    /// Whether the stem, and each stage, makes split maps, and so is read by all that reads what it makes; `laterals` read the stages. A stage
    /// without a shortcut adds to what is below, so neither of the two splits.
    pub fn plan_layouts(&self, backend: &B, laterals: &[B::Conv]) -> Vec<bool> {
        let enters = |stage: &Vec<Bottleneck<B>>| {
            let split = |block: &Bottleneck<B>| {
                let shortcut = block.shortcut.as_ref().is_some_and(|conv| backend.reads_split(conv));
                shortcut && backend.reads_split(&block.conv1)
            };
            stage.first().is_some_and(split)
        };
        let stays = |stage: &Vec<Bottleneck<B>>| {
            enters(stage) && stage.iter().flat_map(Bottleneck::layers).all(|conv| backend.reads_split(conv))
        };
        let made = std::iter::once(backend.stem_splits(&self.stem)).chain(self.stages.iter().map(stays));
        let read = |i: usize| {
            let lateral = i.checked_sub(1).and_then(|level| laterals.get(level));
            self.stages.get(i).is_none_or(enters) && lateral.is_none_or(|conv| backend.reads_split(conv))
        };
        made.enumerate().map(|(i, made)| made && read(i)).collect()
    }
}

impl<B: Backend> Bottleneck<B> {
    fn load(
        cfg: &Resnets,
        vb: VarBuilder,
        norm: Norm,
        channels: [usize; 3],
        stride: usize,
        backend: &B,
    ) -> Result<Self> {
        let [input, bottleneck, output] = channels;
        let (stride1, stride3) = if cfg.stride_in_1x1 { (stride, 1) } else { (1, stride) };
        let one = ConvSpec { bias: false, ..ConvSpec::new(1, norm) };
        let conv2 = ConvSpec { kernel: 3, stride: stride3, groups: cfg.num_groups, ..one };
        let shortcut = ConvSpec { stride, ..one };
        let load = |name, input, output, spec| {
            backend.pack_conv(Conv::load(vb.pp(name), input, output, spec)?, Role::Backbone)
        };
        Ok(Self {
            conv1: load("conv1", input, bottleneck, ConvSpec { stride: stride1, ..one })?,
            conv2: load("conv2", bottleneck, bottleneck, conv2)?,
            conv3: load("conv3", bottleneck, output, one)?,
            shortcut: (input != output).then(|| load("shortcut", input, output, shortcut)).transpose()?,
        })
    }

    /// What is below is still needed, so there must be a shortcut.
    fn forward_first(&self, backend: &B, x: &B::Map, split: bool) -> Result<B::Map> {
        let Some(shortcut) = &self.shortcut else {
            return Err(Error::Config("MODEL.RESNETS has a stage as wide as the one below".into()));
        };
        // The large map first, where an arena has room for it.
        let shortcut = backend.conv(shortcut, x, PostOps { split, ..PostOps::default() })?;
        let y = self.narrow(backend, x, split)?;
        backend.conv(&self.conv3, &y, PostOps { relu: true, add_to: Some(shortcut), split })
    }

    fn forward_next(&self, backend: &B, x: B::Map, split: bool) -> Result<B::Map> {
        if self.shortcut.is_some() {
            return self.forward_first(backend, &x, split);
        }
        let y = self.narrow(backend, &x, split)?;
        backend.conv(&self.conv3, &y, PostOps { relu: true, add_to: Some(x), split })
    }

    fn narrow(&self, backend: &B, x: &B::Map, split: bool) -> Result<B::Map> {
        let y = backend.conv(&self.conv1, x, PostOps { split, ..PostOps::relu() })?;
        backend.conv(&self.conv2, &y, PostOps { split, ..PostOps::relu() })
    }

    fn layers(&self) -> impl Iterator<Item = &B::Conv> {
        [&self.conv1, &self.conv2, &self.conv3].into_iter().chain(&self.shortcut)
    }
}
