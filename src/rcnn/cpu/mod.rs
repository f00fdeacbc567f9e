//! The network on the kernels for CPUs: channels last, weights packed, ReLU and additions done where a layer's results are made.

mod heads;
pub(super) mod layer;
mod settings;

use candle_nn::VarBuilder;
use image::RgbImage;

use self::heads::{BoxHead, MaskHead};
use self::layer::{Layer, with_filters};
pub use self::settings::{Dtype, Memory};
use super::config::{Config, FuseType};
use super::fpn::{Fpn, STRIDES};
use super::image_input::image_for_cpu;
use super::layers::{Conv, Norm};
use super::network::Output;
use super::resnet::{Bottleneck, Convert, ResNet};
use super::rpn::{Proposals, Rpn, RpnDecoder};
use super::{Error, Result, Stop, check_cancelled, roi_heads};
use crate::kernels::{self, FeatureMap, Image, Isa, Options, PostOps, Stem, Workspace, channel_stride};

/// Who looks on while a prediction runs.
pub(super) struct Watch<'a> {
    pub stop: Stop<'a>,
    /// Called with a stage's name when it, or a part of it, is over.
    pub mark: &'a mut (dyn FnMut(&'static str) + Send),
}

impl Watch<'_> {
    fn check_cancelled(&self) -> Result<()> {
        check_cancelled(self.stop)
    }

    fn mark(&mut self, stage: &'static str) {
        (self.mark)(stage);
    }
}

pub(super) struct Cpu {
    pool: Workspace,
    backbone: Fpn<Stem, Layer>,
    /// Whether the stem, and each stage, hands its maps on split.
    split: Vec<bool>,
    /// Of the pyramid.
    channels: usize,
    rpn_conv: Layer,
    /// Objectness of a cell's anchors, then their deltas.
    rpn_predictor: kernels::Conv,
    rpn: RpnDecoder,
    box_head: BoxHead,
    mask_head: Option<MaskHead>,
}

impl Cpu {
    /// Not a network whose first layer has a group norm.
    pub fn can_run(config: &Config) -> bool {
        Norm::parse("MODEL.RESNETS.NORM", &config.model.resnets.norm).is_ok_and(|norm| norm != Norm::Group)
    }

    pub fn load(config: &Config, vb: VarBuilder, memory: Memory, dtype: Dtype) -> Result<Self> {
        let isa = Isa::best();
        let bf16 = matches!(dtype, Dtype::Bf16 | Dtype::Bf16All);
        if matches!(dtype, Dtype::F16 | Dtype::F16All) {
            tracing::warn!("MODEL_DTYPE=f16 is for GPUs: computing in f32");
        }
        if bf16 && isa != Isa::Amx {
            tracing::warn!("bf16 helps processors with AMX; this one has {}: computing in f32", isa.name());
        }
        let options = Options { isa, winograd: true, keep: memory == Memory::Fast, bf16 };
        // What a backbone and pyramid in bf16 are off by makes other boxes win.
        let of_backbone = Options { bf16: dtype == Dtype::Bf16All, ..options };
        let layer = |conv| Layer::pack(conv, of_backbone);
        let stem = |conv: Conv| with_filters(&conv, |filters| Stem::new(of_backbone, filters));
        let backbone = Fpn::load(&config.model, vb.pp("backbone"), &Convert { stem: &stem, layer: &layer })?;
        let Rpn { head, decoder } = Rpn::load(&config.model, vb.pp("proposal_generator"))?;
        let rpn_predictor = heads::join(&head.objectness_logits, &head.anchor_deltas, options)?;
        let roi_heads = vb.pp("roi_heads");
        let box_head = BoxHead::pack(roi_heads::BoxHead::load(config, roi_heads.clone())?, options)?;
        let mask_head = match config.model.mask_on {
            true => Some(MaskHead::pack(roi_heads::MaskHead::load(&config.model, roi_heads)?, options)?),
            false => None,
        };
        let rpn_conv = Layer::pack(head.conv, options)?;
        let channels = config.model.fpn.out_channels;
        let split = plan_layouts(&backbone);
        let pool = Workspace::default();
        Ok(Self { pool, backbone, split, channels, rpn_conv, rpn_predictor, rpn: decoder, box_head, mask_head })
    }

    /// See [`Workspace::work`].
    pub fn work(&self) -> u64 {
        self.pool.work()
    }

    pub fn run(&self, image: &RgbImage, config: &Config, threshold: f32, watch: &mut Watch<'_>) -> Result<Output> {
        let (input, size) = image_for_cpu(image, config, &self.pool)?;
        watch.mark("resize");
        let levels = self.levels(input, watch)?;
        watch.mark("ResNet");
        let features = self.pyramid(levels, watch)?;
        let proposals = self.propose(&features, size, watch)?;
        let instances = self.box_head.run(&features, &proposals, size, threshold, watch)?;
        let masks = self.mask_head.as_ref().map(|head| head.run(&features, &instances, watch)).transpose()?;
        let mask_side = self.mask_head.as_ref().map_or(0, MaskHead::side);
        Ok(Output { instances, masks, mask_side, size })
    }

    /// res2 … res5.
    fn levels(&self, image: Image, watch: &mut Watch<'_>) -> Result<Vec<FeatureMap>> {
        let bottom_up = &self.backbone.bottom_up;
        // Below what the stem makes, for res2.
        let pixels = image.pixels() / (STRIDES[0] * STRIDES[0]);
        let first = bottom_up.stages.first().and_then(|stage| stage.first());
        let res2 = first.map_or(Ok(0), |block| block.conv3.result_values(pixels, self.split[1]))?;
        let gap = self.reserve(res2, &[image.map()]);
        let stem = bottom_up.stem.forward(&image, self.split[0]);
        drop((image, gap));
        watch.mark("stem");
        let mut below = Some(stem);
        let mut levels: Vec<FeatureMap> = vec![];
        for (stage, &split) in bottom_up.stages.iter().zip(&self.split[1..]) {
            let mut blocks = stage.iter();
            let stem = below.take();
            let (Some(first), Some(below)) = (blocks.next(), stem.as_ref().or(levels.last())) else {
                return Err(Error::Config("MODEL.RESNETS has a stage without blocks".into()));
            };
            let mut x = first.forward_first(below, split)?;
            drop(stem);
            for block in blocks {
                watch.check_cancelled()?;
                x = block.forward_next(x, split)?;
            }
            levels.push(x);
        }
        Ok(levels)
    }

    /// p2 … p6.
    fn pyramid(&self, mut levels: Vec<FeatureMap>, watch: &mut Watch<'_>) -> Result<Vec<FeatureMap>> {
        let mut features = vec![];
        let mut above: Option<FeatureMap> = None;
        // For the largest merged map, where res3 to res5 are.
        let largest = levels.first().map_or(0, |map| map.pixels() * channel_stride(self.channels));
        levels.push(self.reserve(largest, &levels.iter().skip(1).collect::<Vec<_>>()));
        for (i, (lateral, output)) in self.backbone.lateral.iter().zip(&self.backbone.output).enumerate().rev() {
            watch.check_cancelled()?;
            if i == 0 {
                levels.truncate(1);
            }
            let Some(level) = levels.get(i) else { break };
            let mut merged = lateral.forward(level, PostOps::default())?;
            if i == 0 {
                levels.clear();
            }
            watch.mark("pyramid");
            if let Some(above) = above {
                kernels::add_upsampled(&mut merged, &above, self.backbone.fuse == FuseType::Avg);
            }
            watch.mark("upsampling");
            features.push(output.forward(&merged, PostOps::default())?);
            watch.mark("pyramid");
            above = Some(merged);
        }
        let top = features.first().map(kernels::subsample);
        features.reverse();
        features.extend(top);
        Ok(features)
    }

    /// Keeps addresses free: when these maps and this are dropped, their places are together large enough for one of so many values.
    fn reserve(&self, values: usize, maps: &[&FeatureMap]) -> FeatureMap {
        let there: usize = maps.iter().map(|map| map.values()).sum();
        self.pool.map(1, 1, 1, values.saturating_sub(there))
    }

    fn propose(
        &self,
        features: &[FeatureMap],
        (width, height): (usize, usize),
        watch: &mut Watch<'_>,
    ) -> Result<Proposals> {
        let count = self.rpn.anchors_per_cell();
        let mut candidates = vec![];
        for (level, feature) in features.iter().enumerate() {
            watch.check_cancelled()?;
            let hidden = self.rpn_conv.forward(feature, PostOps::relu())?;
            let predictions = self.rpn_predictor.forward(&hidden, PostOps::default());
            watch.mark("RPN head");
            let (data, stride) = (predictions.data(), predictions.stride);
            let mut logits = Vec::with_capacity(feature.pixels() * count);
            data.chunks_exact(stride).for_each(|cell| logits.extend_from_slice(&cell[..count]));
            let delta = |cell: usize, a: usize| {
                let at = cell * stride + count + a * 4;
                [data[at], data[at + 1], data[at + 2], data[at + 3]]
            };
            self.rpn.decode(level, feature.width, count, &logits, delta, (width, height), &mut candidates);
            watch.mark("proposals");
        }
        let proposals = self.rpn.select(&candidates);
        watch.mark("proposals");
        Ok(proposals)
    }
}

/// Whether the stem, and each stage, is on tiles, and so is all that reads what it makes. A stage without a shortcut adds to what is below, so
/// neither of the two splits.
fn plan_layouts(backbone: &Fpn<Stem, Layer>) -> Vec<bool> {
    let ResNet { stem, stages } = &backbone.bottom_up;
    let enters = |stage: &Vec<Bottleneck<Layer>>| {
        let on_tiles =
            |block: &Bottleneck<Layer>| block.conv1.uses_amx() && block.shortcut.as_ref().is_some_and(Layer::uses_amx);
        stage.first().is_some_and(on_tiles)
    };
    let stays = |stage: &Vec<Bottleneck<Layer>>| {
        enters(stage) && stage.iter().flat_map(Bottleneck::layers).all(Layer::uses_amx)
    };
    let made = std::iter::once(stem.uses_amx()).chain(stages.iter().map(stays));
    let read = |i: usize| {
        let lateral = i.checked_sub(1).and_then(|level| backbone.lateral.get(level));
        stages.get(i).is_none_or(enters) && lateral.is_none_or(Layer::uses_amx)
    };
    made.enumerate().map(|(i, made)| made && read(i)).collect()
}

impl Bottleneck<Layer> {
    /// The stage's first block: what is below is still needed.
    fn forward_first(&self, x: &FeatureMap, split: bool) -> Result<FeatureMap> {
        // The large map first, where the arena has room for it.
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(x, PostOps { split, ..PostOps::default() })?,
            None => x.duplicate(),
        };
        let y = self.narrow(x, split)?;
        self.conv3.forward(&y, PostOps { relu: true, add_to: Some(shortcut), split })
    }

    fn forward_next(&self, x: FeatureMap, split: bool) -> Result<FeatureMap> {
        let y = self.narrow(&x, split)?;
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(&x, PostOps { split, ..PostOps::default() })?,
            None => x,
        };
        self.conv3.forward(&y, PostOps { relu: true, add_to: Some(shortcut), split })
    }

    fn narrow(&self, x: &FeatureMap, split: bool) -> Result<FeatureMap> {
        let y = self.conv1.forward(x, PostOps { split, ..PostOps::relu() })?;
        self.conv2.forward(&y, PostOps { split, ..PostOps::relu() })
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> {
        [&self.conv1, &self.conv2, &self.conv3].into_iter().chain(&self.shortcut)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    /// Where res2 is as wide as the stem, its first block has no shortcut, and adds to what the stem made.
    #[test]
    fn a_stage_without_a_shortcut() {
        let text = include_str!("../../../models/small/config.yaml");
        let text = text.replace("STEM_OUT_CHANNELS: 32", "STEM_OUT_CHANNELS: 64");
        let config = Config::parse(&text).unwrap();
        assert_eq!(config.model.resnets.stem_out_channels, config.model.resnets.res2_out_channels);
        let zeros = VarBuilder::zeros(DType::F32, &Device::Cpu);
        let network = Cpu::load(&config, zeros, Memory::Fast, Dtype::F32).unwrap();
        let mut watch = Watch { stop: &|| false, mark: &mut |_| {} };
        network.run(&RgbImage::new(40, 60), &config, 0.9, &mut watch).unwrap();
    }
}
