//! A convolution of the network on the CPU: by the kernels where they have it, by candle where they do not.

use candle_core::{Device, Storage, Tensor};

use super::super::Result;
use super::super::layers::Conv;
use crate::kernels::{self, FeatureMap, Filters, Options, PostOps, channel_stride};

#[derive(Debug)]
pub(super) enum Layer {
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

/// Hands a convolution's weights over as slices; a missing bias is empty.
pub(in crate::rcnn) fn with_filters<T>(conv: &Conv, f: impl FnOnce(&Filters<'_>) -> T) -> Result<T> {
    let (output, input, kernel, _) = conv.conv.weight().dims4()?;
    let bias = conv.conv.bias().map(|b| b.to_vec1::<f32>()).transpose()?.unwrap_or_default();
    let stride = conv.conv.config().stride;
    with_values(conv.conv.weight(), |weight| f(&Filters { weight, bias: &bias, input, output, kernel, stride }))
}

/// Calls `f` with a tensor's values in order, which are copied only where they do not lie so in memory.
pub(in crate::rcnn) fn with_values<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(storage), Some((from, to))) => Ok(f(&storage.as_slice::<f32>()?[from..to])),
        _ => Err(candle_core::Error::Msg("a tensor that is not in memory".into()).into()),
    }
}

/// [n, H, W, C] → [n, C, H, W].
fn to_tensor(x: &FeatureMap) -> Result<Tensor> {
    let padded = Tensor::from_slice(x.data(), (x.count, x.height, x.width, x.stride), &Device::Cpu)?;
    Ok(padded.narrow(3, 0, x.channels)?.permute((0, 3, 1, 2))?.contiguous()?)
}

fn from_tensor(t: &Tensor, like: &FeatureMap) -> Result<FeatureMap> {
    let (count, channels, height, width) = t.dims4()?;
    let mut map = like.pool().map(count, height, width, channels);
    let t = t.permute((0, 2, 3, 1))?.pad_with_zeros(3, 0, map.stride - channels)?;
    with_values(&t, |values| map.data_mut().copy_from_slice(values))?;
    Ok(map)
}
