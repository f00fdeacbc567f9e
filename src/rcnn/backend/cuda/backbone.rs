//! What [`Backend`] asks for.

use candle_nn::Linear;

use super::Dtype;
use super::dense::Dense;
use super::input::{Input, Loaded};
use super::layer::{FeatureMap, Layer, Ops, padded};
use super::params::{Convert, MaxPool, UpsampleAdd};
use crate::rcnn::Result;
use crate::rcnn::backend::{Backend, PostOps, Role};
use crate::rcnn::layers::Conv;

/// Pages of one size, and how a configuration prepares them.
#[derive(Clone, Copy)]
pub(super) struct Pages<'a> {
    pub input: &'a Input,
    pub loaded: &'a Loaded,
}

impl Backend for Ops {
    type Image<'a> = Pages<'a>;
    type Map = FeatureMap;
    type Conv = Layer;
    type Stem = Layer;
    type Linear = Dense;

    fn padded(channels: usize) -> usize {
        padded(channels)
    }

    fn pack_conv(&self, conv: Conv, _: Role) -> Result<Layer> {
        Layer::pack(self, &conv)
    }

    fn pack_stem(&self, conv: Conv) -> Result<Layer> {
        Layer::pack_stem(self, &conv)
    }

    fn pack_linear(&self, linear: &Linear, cells: Option<usize>, last: bool) -> Result<Dense> {
        Dense::pack(self, linear, cells, if last { Dtype::F32 } else { self.dtype })
    }

    fn stem(&self, stem: &Layer, image: Pages<'_>, _: bool, _: Option<(&Layer, bool)>) -> Result<FeatureMap> {
        let map = self.stem_conv(stem, image.input, image.loaded)?;
        self.max_pool(&map)
    }

    fn conv(&self, conv: &Layer, x: &FeatureMap, post: PostOps<FeatureMap>) -> Result<FeatureMap> {
        self.run_conv(conv, x, post)
    }

    fn linear(&self, linear: &Dense, x: &FeatureMap, relu: bool) -> Result<FeatureMap> {
        linear.forward(self, x, relu)
    }

    fn flatten(&self, x: FeatureMap) -> Result<FeatureMap> {
        let values = x.height * x.width * x.channels;
        Ok(x.into_rows(values))
    }

    fn quarters(&self, x: FeatureMap) -> Result<FeatureMap> {
        let channels = x.channels / 4;
        Ok(x.into_rows(channels))
    }

    fn upsample_add(&self, fine: FeatureMap, coarse: &FeatureMap, average: bool) -> Result<FeatureMap> {
        let params = UpsampleAdd {
            coarse: coarse.buffer.address,
            fine: fine.buffer.address,
            height: fine.height as i32,
            width: fine.width as i32,
            channels: fine.channels as i32,
            coarse_height: coarse.height as i32,
            coarse_width: coarse.width as i32,
            factor: if average { 0.5 } else { 1.0 },
        };
        self.context.items(&self.named("upsample_add"), &params, fine.values() / self.dtype.pack())?;
        Ok(fine)
    }

    fn subsample(&self, x: &FeatureMap) -> Result<FeatureMap> {
        let out = self.map(x.count, (x.height - 1) / 2 + 1, (x.width - 1) / 2 + 1, x.channels)?;
        self.im2col(x, &out, (1, 2, 1), 0, out.pixels(), out.buffer.address)?;
        Ok(out)
    }
}

impl Ops {
    /// A map in f32 as this network's type, which is another.
    pub fn convert(&self, x: &FeatureMap) -> Result<FeatureMap> {
        let out = self.map(x.count, x.height, x.width, x.channels)?;
        let params = Convert { input: x.buffer.address, output: out.buffer.address };
        self.context.items(&self.named("convert"), &params, out.values() / self.dtype.pack())?;
        Ok(out)
    }

    /// 3 × 3 at stride 2, after a ReLU.
    fn max_pool(&self, x: &FeatureMap) -> Result<FeatureMap> {
        let out = self.map(x.count, (x.height - 1) / 2 + 1, (x.width - 1) / 2 + 1, x.channels)?;
        let params = MaxPool {
            input: x.buffer.address,
            output: out.buffer.address,
            height: x.height as i32,
            width: x.width as i32,
            channels: x.channels as i32,
            out_height: out.height as i32,
            out_width: out.width as i32,
            ..Default::default()
        };
        self.context.items(&self.named("max_pool"), &params, out.values() / self.dtype.pack())?;
        Ok(out)
    }
}
