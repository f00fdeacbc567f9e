//! What [`Backend`] asks for.

use candle_nn::{ConvTranspose2d, Linear};

use super::Dtype;
use super::dense::Dense;
use super::input::{Input, Loaded};
use super::layer::{FeatureMap, Layer, Ops};
use super::masks::MaskPredictor;
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
    type MaskPredictor = MaskPredictor;
    type Room = ();

    fn pack_conv(&self, conv: Conv, _: Role) -> Result<Layer> {
        Layer::pack(self, &conv)
    }

    fn pack_stem(&self, conv: Conv) -> Result<Layer> {
        Layer::pack_stem(self, &conv)
    }

    fn pack_linear(&self, linear: &Linear, cells: Option<usize>, last: bool) -> Result<Dense> {
        Dense::of(self, linear, cells, if last { Dtype::F32 } else { self.dtype })
    }

    fn pack_mask_predictor(&self, deconv: &ConvTranspose2d, predictor: &Conv) -> Result<MaskPredictor> {
        MaskPredictor::pack(self, deconv, predictor)
    }

    fn stem(&self, stem: &Layer, image: Pages<'_>, _: bool, _: Option<(&Layer, bool)>) -> Result<FeatureMap> {
        let map = self.stem_conv(stem, image.input, image.loaded)?;
        self.max_pool(&map)
    }

    fn conv(&self, conv: &Layer, x: &FeatureMap, post: PostOps<FeatureMap>) -> Result<FeatureMap> {
        self.run_conv(conv, x, post)
    }

    fn linear(&self, linear: &Dense, x: &FeatureMap, relu: bool) -> Result<FeatureMap> {
        let buffer = linear.forward(self, x.buffer.address, x.pixels(), relu)?;
        Ok(FeatureMap { buffer, count: x.count, height: x.height, width: x.width, channels: linear.output })
    }

    fn flatten(&self, x: FeatureMap) -> Result<FeatureMap> {
        Ok(x.into_rows())
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

    fn reserve(&self, _: &Layer, _: &FeatureMap, _: &[FeatureMap]) -> Result<()> {
        Ok(())
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
            unused: 0,
        };
        self.context.items(&self.named("max_pool"), &params, out.values() / self.dtype.pack())?;
        Ok(out)
    }
}
