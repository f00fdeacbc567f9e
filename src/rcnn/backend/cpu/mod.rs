//! The kernels for CPUs: channels last, weights packed, ReLU and additions done where a layer's results are made.

mod layer;

use candle_nn::ConvTranspose2d;
use image::RgbImage;

use self::layer::Layer;
use super::options::{Dtype, Memory};
use super::{Backend, HostBackend, HostMap, PostOps, Role};
use crate::kernels::{self, FeatureMap, Image, Isa, Linear, Options, Stem, Workspace, channel_stride, roi_align};
use crate::rcnn::Result;
use crate::rcnn::config::Config;
use crate::rcnn::geometry::boxes::Box2;
use crate::rcnn::geometry::pooler::Pooler;
use crate::rcnn::input::image_for_cpu;
use crate::rcnn::layers::{Conv, Norm, with_filters, with_values};

#[derive(Debug)]
pub struct Cpu {
    workspace: Workspace,
    of_backbone: Options,
    of_heads: Options,
}

/// The transposed convolution as a product: for each cell the four that come of it; and what reads these.
#[derive(Debug)]
pub struct MaskPredictor {
    deconv: Linear,
    /// Channels of each of the four, with their padding.
    width: usize,
    predictor: Linear,
}

impl Cpu {
    /// Not a network whose first layer has a group norm.
    pub fn can_run(config: &Config) -> bool {
        Norm::parse("MODEL.RESNETS.NORM", &config.model.resnets.norm).is_ok_and(|norm| norm != Norm::Group)
    }

    pub fn new(memory: Memory, dtype: Dtype) -> Self {
        let isa = Isa::best();
        let bf16 = matches!(dtype, Dtype::Bf16 | Dtype::Bf16All);
        if matches!(dtype, Dtype::F16 | Dtype::F16All) {
            tracing::warn!("f16 is for GPUs: computing in f32");
        }
        if bf16 && isa != Isa::Amx {
            tracing::warn!("bf16 helps processors with AMX; this one has {}: computing in f32", isa.name());
        }
        let of_heads = Options { isa, winograd: true, keep: memory == Memory::Fast, bf16 };
        // What a backbone and pyramid in bf16 are off by makes other boxes win.
        let of_backbone = Options { bf16: dtype == Dtype::Bf16All, ..of_heads };
        Self { workspace: Workspace::default(), of_backbone, of_heads }
    }

    fn options(&self, role: Role) -> Options {
        match role {
            Role::Backbone => self.of_backbone,
            Role::Proposals | Role::Heads => self.of_heads,
        }
    }

    /// Keeps addresses free: when these maps and this are dropped, their places are together large enough for one of so many values.
    fn room(&self, values: usize, beside: &[&FeatureMap]) -> FeatureMap {
        let there: usize = beside.iter().map(|map| map.values()).sum();
        self.workspace.map(1, 1, 1, values.saturating_sub(there))
    }
}

impl Backend for Cpu {
    type Image<'a> = Image;
    type Map = FeatureMap;
    type Conv = Layer;
    type Stem = Stem;
    type Linear = Linear;
    type MaskPredictor = MaskPredictor;
    type Room = FeatureMap;

    const ARENA: bool = true;

    fn pack_conv(&self, conv: Conv, role: Role) -> Result<Layer> {
        Layer::pack(conv, self.options(role))
    }

    fn pack_stem(&self, conv: Conv) -> Result<Stem> {
        with_filters(&conv, |filters| Stem::new(self.of_backbone, filters))
    }

    fn pack_linear(&self, linear: &candle_nn::Linear, cells: Option<usize>, _: bool) -> Result<Linear> {
        let (outputs, inputs) = linear.weight().dims2()?;
        let bias = linear.bias().map(|bias| bias.to_vec1::<f32>()).transpose()?.unwrap_or_default();
        with_values(linear.weight(), |weight| {
            let Some(cells) = cells else {
                return Linear::new(self.of_heads, inputs, outputs, &bias, |k, o| weight[o * inputs + k]);
            };
            // A pooled RoI is read as it lies there: cells of aligned channels, not channels of cells.
            let channels = inputs / cells;
            let stride = channel_stride(channels);
            let at = |k: usize, o: usize| match k % stride {
                c if c < channels => weight[o * inputs + c * cells + k / stride],
                _ => 0.0,
            };
            Linear::new(self.of_heads, cells * stride, outputs, &bias, at)
        })
    }

    fn pack_mask_predictor(&self, deconv: &ConvTranspose2d, predictor: &Conv) -> Result<MaskPredictor> {
        let (inputs, outputs, _, _) = deconv.weight().dims4()?;
        let bias = deconv.bias().map(|b| b.to_vec1::<f32>()).transpose()?.unwrap_or_else(|| vec![0.0; outputs]);
        let width = channel_stride(outputs);
        let padded: Vec<f32> = (0..4 * width).map(|o| bias.get(o % width).copied().unwrap_or(0.0)).collect();
        let deconv = with_values(deconv.weight(), |weight| {
            let at = |k: usize, o: usize| match o % width {
                channel if channel < outputs => weight[(k * outputs + channel) * 4 + o / width],
                _ => 0.0,
            };
            Linear::new(self.of_heads, inputs, 4 * width, &padded, at)
        })?;
        let predictor = with_filters(predictor, |f| {
            let at = |k: usize, o: usize| if k < f.input { f.weight[o * f.input + k] } else { 0.0 };
            Linear::new(self.of_heads, width, f.output, f.bias, at)
        })?;
        Ok(MaskPredictor { deconv, width, predictor })
    }

    fn stem(&self, stem: &Stem, image: Image, split: bool, beside: Option<(&Layer, bool)>) -> Result<FeatureMap> {
        // Below what the stem makes, for what comes beside it.
        let pixels = image.pixels() / (Stem::STRIDE * Stem::STRIDE);
        let next = beside.map_or(Ok(0), |(layer, split)| layer.result_values(pixels, split))?;
        let room = self.room(next, &[image.map()]);
        let out = stem.forward(&image, split);
        drop((image, room));
        Ok(out)
    }

    fn conv(&self, conv: &Layer, x: &FeatureMap, post: PostOps<FeatureMap>) -> Result<FeatureMap> {
        let PostOps { relu, add, split } = post;
        conv.forward(x, kernels::PostOps { relu, add_to: add, split })
    }

    fn flatten(&self, x: FeatureMap) -> Result<FeatureMap> {
        let (count, values) = (x.count(), x.height() * x.width() * x.stride());
        Ok(x.reshape(count, 1, 1, values))
    }

    fn linear(&self, linear: &Linear, x: &FeatureMap, relu: bool) -> Result<FeatureMap> {
        Ok(linear.forward(x, relu))
    }

    fn upsample_add(&self, mut fine: FeatureMap, coarse: &FeatureMap, average: bool) -> Result<FeatureMap> {
        kernels::add_upsampled(&mut fine, coarse, average);
        Ok(fine)
    }

    fn subsample(&self, x: &FeatureMap) -> Result<FeatureMap> {
        Ok(kernels::subsample(x))
    }

    fn reads_split(&self, conv: &Layer) -> bool {
        conv.uses_amx()
    }

    fn stem_splits(&self, stem: &Stem) -> bool {
        stem.uses_amx()
    }

    fn reserve(&self, conv: &Layer, of: &FeatureMap, beside: &[FeatureMap]) -> Result<FeatureMap> {
        let values = conv.result_values(of.pixels(), false)?;
        Ok(self.room(values, &beside.iter().collect::<Vec<_>>()))
    }
}

impl HostBackend for Cpu {
    fn image(&self, image: &RgbImage, config: &Config) -> Result<(Image, (usize, usize))> {
        image_for_cpu(image, config, &self.workspace)
    }

    fn roi_align(&self, pooler: &Pooler, features: &[FeatureMap], boxes: &[Box2]) -> Result<FeatureMap> {
        let side = pooler.resolution;
        let mut out = self.workspace.map(boxes.len(), side, side, features[0].channels());
        for ((rows, op), feature) in pooler.ops(boxes).zip(features) {
            roi_align(Isa::best(), feature, &op, &rows, &mut out);
        }
        Ok(out)
    }

    fn mask_logits(&self, predictor: &MaskPredictor, x: &FeatureMap, channels: &[usize]) -> Result<Vec<Vec<f32>>> {
        let (count, side) = (x.count(), x.height());
        let quarters = predictor.deconv.forward(x, true).reshape(count * side * side * 4, 1, 1, predictor.width);
        let logits = predictor.predictor.forward(&quarters, false);
        let of_roi = |(i, &channel): (usize, &usize)| {
            let cells = (0..side * 2).flat_map(|y| (0..side * 2).map(move |x| (y, x)));
            let value = |(y, x): (usize, usize)| {
                let cell = (i * side + y / 2) * side + x / 2;
                logits.data()[(cell * 4 + y % 2 * 2 + x % 2) * logits.stride() + channel]
            };
            cells.map(value).collect()
        };
        Ok(channels.iter().enumerate().map(of_roi).collect())
    }

    fn to_host<'a>(&self, x: &'a FeatureMap) -> Result<HostMap<'a>> {
        Ok(HostMap { data: x.data().into(), stride: x.stride(), width: x.width() })
    }

    fn shape(&self, x: &FeatureMap) -> Result<[usize; 4]> {
        Ok([x.count(), x.channels(), x.height(), x.width()])
    }

    fn work(&self) -> u64 {
        self.workspace.work()
    }

    fn name(&self) -> &'static str {
        self.of_heads.isa.name()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use candle_nn::VarBuilder;

    use super::*;
    use crate::rcnn::Watch;
    use crate::rcnn::meta::GeneralizedRcnn;
    use crate::rcnn::network::Network;

    /// Where res2 is as wide as the stem, its first block has no shortcut, and adds to what the stem made.
    #[test]
    fn a_stage_without_a_shortcut() {
        let text = include_str!("../../../../models/small/config.yaml");
        let text = text.replace("STEM_OUT_CHANNELS: 32", "STEM_OUT_CHANNELS: 64");
        let config = Config::parse(&text).unwrap();
        assert_eq!(config.model.resnets.stem_out_channels, config.model.resnets.res2_out_channels);
        let zeros = VarBuilder::zeros(DType::F32, &Device::Cpu);
        let network = GeneralizedRcnn::load(Cpu::new(Memory::Fast, Dtype::F32), &config, zeros).unwrap();
        let mut watch = Watch { stop: &|| false, mark: &mut |_| {} };
        network.detect(&[&RgbImage::new(40, 60)], 0.9, &mut watch).unwrap();
    }
}
