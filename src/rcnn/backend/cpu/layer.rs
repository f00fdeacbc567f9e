//! A convolution of the network on the CPU: by the kernels where they have it, by candle where they do not.

use candle_core::{Device, Tensor};

use crate::kernels::{self, FeatureMap, Options, PostOps, channel_stride};
use crate::rcnn::Result;
use crate::rcnn::layers::{Conv, with_filters, with_values};

#[derive(Debug)]
pub enum Layer {
    Kernel(kernels::Conv),
    /// Groups of channels, and group norms.
    Candle(Conv),
}

impl Layer {
    pub fn pack(conv: Conv, options: Options) -> Result<Self> {
        match conv.norm.is_some() || conv.conv.config().groups > 1 {
            true => Ok(Self::Candle(conv)),
            false => with_filters(&conv, |filters| {
                // For the few pixels of many channels it is never worth that.
                let keep = options.keep && filters.input * filters.output <= 256 * 256;
                Self::Kernel(kernels::Conv::new(Options { keep, ..options }, filters))
            }),
        }
    }

    pub fn uses_amx(&self) -> bool {
        matches!(self, Self::Kernel(conv) if conv.uses_amx())
    }

    /// Values that its result of so many pixels takes in memory.
    pub fn result_values(&self, pixels: usize, split: bool) -> Result<usize> {
        match self {
            Self::Kernel(conv) => Ok(conv.result_values(pixels, split)),
            Self::Candle(conv) => Ok(pixels * channel_stride(conv.conv.weight().dim(0)?)),
        }
    }

    pub fn forward(&self, x: &FeatureMap, then: PostOps) -> Result<FeatureMap> {
        let conv = match self {
            Self::Kernel(conv) => return Ok(conv.forward(x, then)),
            Self::Candle(conv) => conv,
        };
        let mut y = from_tensor(&conv.forward(&to_tensor(x)?)?, x)?;
        if let Some(other) = then.add_to {
            y.data_mut().iter_mut().zip(other.data()).for_each(|(a, b)| *a += b);
        }
        if then.relu {
            y.data_mut().iter_mut().for_each(|v| *v = v.max(0.0));
        }
        Ok(y)
    }
}

/// [n, H, W, C] → [n, C, H, W].
fn to_tensor(x: &FeatureMap) -> Result<Tensor> {
    let padded = Tensor::from_slice(x.data(), (x.count(), x.height(), x.width(), x.stride()), &Device::Cpu)?;
    Ok(padded.narrow(3, 0, x.channels())?.permute((0, 3, 1, 2))?.contiguous()?)
}

fn from_tensor(t: &Tensor, like: &FeatureMap) -> Result<FeatureMap> {
    let (count, channels, height, width) = t.dims4()?;
    let mut map = like.pool().map(count, height, width, channels);
    let t = t.permute((0, 2, 3, 1))?.pad_with_zeros(3, 0, map.stride() - channels)?;
    with_values(&t, |values| map.data_mut().copy_from_slice(values))?;
    Ok(map)
}
