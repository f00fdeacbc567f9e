//! candle's operators on the CPU: several times slower than the kernels, and the reference for them.

use candle_core::{Device, Module, Tensor};
use candle_nn::Linear;
use image::RgbImage;

use super::{Backend, HostBackend, HostMap, PostOps, Role};
use crate::kernels::{Isa, roi_align_rows};
use crate::rcnn::Result;
use crate::rcnn::config::Config;
use crate::rcnn::geometry::boxes::Box2;
use crate::rcnn::geometry::pooler::Pooler;
use crate::rcnn::input::ModelInput;
use crate::rcnn::layers::{Conv, with_values};

#[derive(Debug)]
pub struct Candle;

impl Backend for Candle {
    type Image<'a> = Tensor;
    type Map = Tensor;
    type Conv = Conv;
    type Stem = Conv;
    type Linear = Linear;

    fn padded(channels: usize) -> usize {
        channels
    }

    fn pack_conv(&self, conv: Conv, _: Role) -> Result<Conv> {
        Ok(conv)
    }

    fn pack_stem(&self, conv: Conv) -> Result<Conv> {
        Ok(conv)
    }

    fn pack_linear(&self, linear: &Linear, _: Option<usize>, _: bool) -> Result<Linear> {
        Ok(linear.clone())
    }

    fn stem(&self, stem: &Conv, image: Tensor, _: bool, _: Option<(&Conv, bool)>) -> Result<Tensor> {
        let x = stem.forward(&image)?.relu()?;
        // After a ReLU nothing is below zero, so padding with zeros is max-pooling's own padding.
        Ok(x.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?.max_pool2d_with_stride(3, 2)?)
    }

    fn conv(&self, conv: &Conv, x: &Tensor, post: PostOps<Tensor>) -> Result<Tensor> {
        let mut y = conv.forward(x)?;
        if let Some(add) = post.add_to {
            y = (y + add)?;
        }
        Ok(if post.relu { y.relu()? } else { y })
    }

    fn linear(&self, linear: &Linear, x: &Tensor, relu: bool) -> Result<Tensor> {
        let y = match x.rank() {
            4 => linear.forward(&x.permute((0, 2, 3, 1))?.contiguous()?)?.permute((0, 3, 1, 2))?,
            _ => linear.forward(x)?,
        };
        Ok(if relu { y.relu()? } else { y })
    }

    fn flatten(&self, x: Tensor) -> Result<Tensor> {
        Ok(x.flatten_from(1)?)
    }

    fn quarters(&self, x: Tensor) -> Result<Tensor> {
        let channels = x.dim(1)? / 4;
        Ok(x.permute((0, 2, 3, 1))?.reshape(((), channels))?)
    }

    fn upsample_add(&self, fine: Tensor, coarse: &Tensor, average: bool) -> Result<Tensor> {
        let (_, _, h, w) = fine.dims4()?;
        let sum = (fine + coarse.upsample_nearest2d(h, w)?)?;
        Ok(if average { (sum / 2.0)? } else { sum })
    }

    fn subsample(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.max_pool2d_with_stride(1, 2)?)
    }
}

impl HostBackend for Candle {
    fn image(&self, image: &RgbImage, config: &Config) -> Result<(Tensor, (usize, usize))> {
        let input = ModelInput::new(image, config, &Device::Cpu)?;
        Ok((input.tensor, (input.width, input.height)))
    }

    fn roi_align(&self, pooler: &Pooler, features: &[Tensor], boxes: &[Box2]) -> Result<Tensor> {
        let (side, channels) = (pooler.resolution, features[0].dim(1)?);
        let mut out = vec![0f32; boxes.len() * side * side * channels];
        for ((rows, op), feature) in pooler.ops(boxes).zip(features) {
            // Channels last, so that a sample is one run of memory. [1, C, H, W] → [H, W, C]
            let channels_last = feature.squeeze(0)?.permute((1, 2, 0))?.contiguous()?;
            with_values(&channels_last, |data| {
                let shape = [feature.dims()[2], feature.dims()[3], channels];
                roi_align_rows(Isa::best(), data, shape, &op, &rows, &mut out);
            })?;
        }
        let pooled = Tensor::from_vec(out, (boxes.len(), side, side, channels), &Device::Cpu)?;
        Ok(pooled.permute((0, 3, 1, 2))?.contiguous()?)
    }

    fn to_host<'a>(&self, x: &'a Tensor) -> Result<HostMap<'a>> {
        let (rows, stride, width) = match x.dims() {
            [_, channels, _, width] => (x.permute((0, 2, 3, 1))?, *channels, *width),
            _ => (x.clone(), x.dim(1)?, 1),
        };
        Ok(HostMap { data: rows.flatten_all()?.to_vec1()?.into(), stride, width })
    }

    fn shape(&self, x: &Tensor) -> Result<[usize; 4]> {
        let (n, c, h, w) = x.dims4()?;
        Ok([n, c, h, w])
    }

    fn name(&self) -> &'static str {
        "candle's"
    }
}
