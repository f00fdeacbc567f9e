//! ResNet and feature pyramid (`detectron2/modeling/backbone/resnet.py` and `fpn.py`).

use super::input::{Input, Loaded};
use super::layer::{FeatureMap, Layer, Ops, PostOps};
use super::runtime::Params;
use crate::rcnn::config::FuseType;
use crate::rcnn::fpn::Fpn;
use crate::rcnn::resnet::Bottleneck;
use crate::rcnn::{Error, Result};

#[derive(Debug)]
pub(super) struct Backbone(Fpn<Layer, Layer>);

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct MaxPool {
    input: u64,
    output: u64,
    height: i32,
    width: i32,
    channels: i32,
    out_height: i32,
    out_width: i32,
    unused: i32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct UpsampleAdd {
    coarse: u64,
    fine: u64,
    height: i32,
    width: i32,
    channels: i32,
    coarse_height: i32,
    coarse_width: i32,
    factor: f32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Convert {
    input: u64,
    output: u64,
}

// SAFETY: plain numbers, as the kernel declares them.
unsafe impl Params for MaxPool {}
// SAFETY: plain numbers, as the kernel declares them.
unsafe impl Params for Convert {}
// SAFETY: plain numbers, as the kernel declares them.
unsafe impl Params for UpsampleAdd {}

impl Backbone {
    pub fn new(fpn: Fpn<Layer, Layer>) -> Self {
        Self(fpn)
    }

    /// p2 … p6 of each image.
    pub fn forward(&self, ops: &Ops, input: &Input, images: &Loaded) -> Result<Vec<FeatureMap>> {
        let mut levels = self.levels(ops, input, images)?;
        let fpn = &self.0;
        let mut features = vec![];
        let mut above: Option<FeatureMap> = None;
        for (lateral, output) in fpn.lateral.iter().zip(&fpn.output).rev() {
            let Some(level) = levels.pop() else { break };
            let merged = ops.conv(lateral, &level, PostOps::default())?;
            drop(level);
            if let Some(above) = above {
                let factor = if fpn.fuse == FuseType::Avg { 0.5 } else { 1.0 };
                ops.upsample_add(&above, &merged, factor)?;
            }
            features.push(ops.conv(output, &merged, PostOps::default())?);
            above = Some(merged);
        }
        let top = features.first().map(|p5| ops.subsample(p5, 2)).transpose()?;
        features.reverse();
        features.extend(top);
        Ok(features)
    }

    /// res2 … res5.
    fn levels(&self, ops: &Ops, input: &Input, images: &Loaded) -> Result<Vec<FeatureMap>> {
        let bottom_up = &self.0.bottom_up;
        let stem = ops.stem(&bottom_up.stem, input, images)?;
        let mut below = Some(ops.max_pool(&stem)?);
        drop(stem);
        let mut levels: Vec<FeatureMap> = vec![];
        for stage in &bottom_up.stages {
            let mut blocks = stage.iter();
            // A level is also read by the pyramid, so the next stage adds nothing to it in place.
            let mut x = match (blocks.next(), below.take(), levels.last()) {
                (Some(first), Some(stem), _) => first.forward_next(ops, stem)?,
                (Some(first), None, Some(level)) => first.forward_first(ops, level)?,
                _ => return Err(Error::Config("MODEL.RESNETS has a stage without blocks".into())),
            };
            for block in blocks {
                x = block.forward_next(ops, x)?;
            }
            levels.push(x);
        }
        Ok(levels)
    }
}

impl Bottleneck<Layer> {
    fn forward_first(&self, ops: &Ops, x: &FeatureMap) -> Result<FeatureMap> {
        let shortcut = match &self.shortcut {
            Some(conv) => ops.conv(conv, x, PostOps::default())?,
            None => ops.subsample(x, 1)?,
        };
        let y = self.narrow(ops, x)?;
        ops.conv(&self.conv3, &y, PostOps { relu: true, add: Some(shortcut) })
    }

    fn forward_next(&self, ops: &Ops, x: FeatureMap) -> Result<FeatureMap> {
        if self.shortcut.is_some() {
            return self.forward_first(ops, &x);
        }
        let y = self.narrow(ops, &x)?;
        ops.conv(&self.conv3, &y, PostOps { relu: true, add: Some(x) })
    }

    fn narrow(&self, ops: &Ops, x: &FeatureMap) -> Result<FeatureMap> {
        let y = ops.conv(&self.conv1, x, PostOps::relu())?;
        ops.conv(&self.conv2, &y, PostOps::relu())
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

    /// Every `stride`-th pixel of every `stride`-th row: max-pooling with a kernel of 1.
    fn subsample(&self, x: &FeatureMap, stride: usize) -> Result<FeatureMap> {
        let out = self.map(x.count, (x.height - 1) / stride + 1, (x.width - 1) / stride + 1, x.channels)?;
        self.im2col(x, &out, (1, stride, 1), 0, out.pixels(), out.buffer.address)?;
        Ok(out)
    }

    fn upsample_add(&self, coarse: &FeatureMap, fine: &FeatureMap, factor: f32) -> Result<()> {
        let params = UpsampleAdd {
            coarse: coarse.buffer.address,
            fine: fine.buffer.address,
            height: fine.height as i32,
            width: fine.width as i32,
            channels: fine.channels as i32,
            coarse_height: coarse.height as i32,
            coarse_width: coarse.width as i32,
            factor,
        };
        self.context.items(&self.named("upsample_add"), &params, fine.values() / self.dtype.pack())
    }
}
