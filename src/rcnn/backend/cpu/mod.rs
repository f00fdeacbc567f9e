//! The kernels for CPUs: channels last, weights packed, ReLU and additions done where a layer's results are made.

mod layer;

use image::RgbImage;

use self::layer::Layer;
use super::options::{Dtype, Memory};
use super::{Backend, HostBackend, HostMap, PostOps, Role};
use crate::kernels::{self, FeatureMap, Image, Isa, Options, Stem, Workspace, channel_stride, roi_align};
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
            Role::Heads => self.of_heads,
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
    type Linear = kernels::Conv;

    fn padded(channels: usize) -> usize {
        channel_stride(channels)
    }

    fn pack_conv(&self, conv: Conv, role: Role) -> Result<Layer> {
        Layer::pack(conv, self.options(role))
    }

    fn pack_stem(&self, conv: Conv) -> Result<Stem> {
        with_filters(&conv, |filters| Stem::new(self.of_backbone, filters))
    }

    fn pack_linear(&self, linear: &candle_nn::Linear, cells: Option<usize>, _: bool) -> Result<kernels::Conv> {
        let (outputs, inputs) = linear.weight().dims2()?;
        let bias = linear.bias().map(|bias| bias.to_vec1::<f32>()).transpose()?.unwrap_or_default();
        with_values(linear.weight(), |weight| {
            let Some(cells) = cells else {
                return kernels::Conv::linear(self.of_heads, inputs, outputs, &bias, |k, o| weight[o * inputs + k]);
            };
            // A pooled RoI is read as it lies there: cells of aligned channels, not channels of cells.
            let channels = inputs / cells;
            let stride = channel_stride(channels);
            let at = |k: usize, o: usize| match k % stride {
                c if c < channels => weight[o * inputs + c * cells + k / stride],
                _ => 0.0,
            };
            kernels::Conv::linear(self.of_heads, cells * stride, outputs, &bias, at)
        })
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
        conv.forward(x, post)
    }

    fn flatten(&self, x: FeatureMap) -> Result<FeatureMap> {
        let (count, values) = (x.count(), x.height() * x.width() * x.stride());
        Ok(x.reshape(count, 1, 1, values))
    }

    fn quarters(&self, x: FeatureMap) -> Result<FeatureMap> {
        let (pixels, channels) = (x.pixels(), x.channels());
        Ok(x.reshape(pixels * 4, 1, 1, channels / 4))
    }

    fn linear(&self, linear: &kernels::Conv, x: &FeatureMap, relu: bool) -> Result<FeatureMap> {
        Ok(linear.forward(x, PostOps { relu, ..PostOps::default() }))
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

    fn reserve(&self, conv: &Layer, of: &FeatureMap, beside: &[FeatureMap]) -> Result<Option<FeatureMap>> {
        let values = conv.result_values(of.pixels(), false)?;
        Ok(Some(self.room(values, &beside.iter().collect::<Vec<_>>())))
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
