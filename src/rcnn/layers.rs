//! Convolutions with the norms that Detectron2 puts behind them.

use candle_core::{DType, Module, Storage, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, GroupNorm, Linear, VarBuilder};

use super::{Error, Result};
use crate::kernels::Filters;

/// Detectron2's `NORM` settings, as far as inference tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// `""`: the convolution has a bias.
    None,
    /// `BN`, `SyncBN`, `FrozenBN`, `nnSyncBN`, `naiveSyncBN`: one affine map a channel at inference, folded into the weights.
    Batch,
    /// `GN`: [`GROUPS`] groups.
    Group,
}

impl Norm {
    pub fn parse(key: &'static str, name: &str) -> Result<Self> {
        match name {
            "" => Ok(Self::None),
            "BN" | "SyncBN" | "FrozenBN" | "nnSyncBN" | "naiveSyncBN" => Ok(Self::Batch),
            "GN" => Ok(Self::Group),
            other => {
                let supported = "\"\", BN, SyncBN, FrozenBN and GN";
                Err(Error::Unsupported { key, value: other.to_owned(), supported })
            }
        }
    }
}

/// Epsilon of Detectron2's batch norms and of PyTorch's group norm.
pub const EPS: f64 = 1e-5;

/// Groups of a group norm.
pub const GROUPS: usize = 32;

/// What a convolution is, but for its weights.
#[derive(Debug, Clone, Copy)]
pub struct ConvSpec {
    pub kernel: usize,
    pub stride: usize,
    pub groups: usize,
    pub norm: Norm,
    /// Whether there is a bias where there is no norm.
    pub bias: bool,
}

impl ConvSpec {
    pub fn new(kernel: usize, norm: Norm) -> Self {
        Self { kernel, stride: 1, groups: 1, norm, bias: true }
    }
}

/// A 2-d convolution that keeps the size at stride 1 (padding kernel/2), with its norm: [N, C, H, W] → [N, D, H/s, W/s].
#[derive(Debug)]
pub struct Conv {
    pub conv: Conv2d,
    pub norm: Option<Group>,
}

/// A group norm, and its parameters for the GPU's kernels.
#[derive(Debug)]
pub struct Group {
    norm: GroupNorm,
    #[cfg(feature = "cuda")]
    pub weight: Tensor,
    #[cfg(feature = "cuda")]
    pub bias: Tensor,
}

impl Conv {
    pub fn load(vb: VarBuilder, input: usize, output: usize, spec: ConvSpec) -> Result<Self> {
        let ConvSpec { kernel, stride, groups, norm, .. } = spec;
        let mut weight = vb.get((output, input / groups, kernel, kernel), "weight")?;
        let mut bias = None;
        let mut group_norm = None;
        match norm {
            Norm::None if spec.bias => bias = Some(vb.get(output, "bias")?),
            Norm::None => {}
            Norm::Batch => {
                let get = |name| vb.pp("norm").get(output, name);
                let scale = (get("weight")? / (get("running_var")? + EPS)?.sqrt()?)?;
                bias = Some((get("bias")? - (get("running_mean")? * &scale)?)?);
                weight = weight.broadcast_mul(&scale.reshape((output, 1, 1, 1))?)?;
            }
            Norm::Group => {
                let vb = vb.pp("norm");
                let (weight, bias) = (vb.get(output, "weight")?, vb.get(output, "bias")?);
                let norm = GroupNorm::new(weight.clone(), bias.clone(), output, GROUPS, EPS)?;
                group_norm = Some(Group {
                    norm,
                    #[cfg(feature = "cuda")]
                    weight,
                    #[cfg(feature = "cuda")]
                    bias,
                });
            }
        }
        let config = Conv2dConfig { padding: kernel / 2, stride, groups, ..Default::default() };
        Ok(Self { conv: Conv2d::new(weight, bias, config), norm: group_norm })
    }

    /// A 1 × 1 convolution without a norm as what it does to each pixel.
    pub fn to_linear(&self) -> Result<Linear> {
        let weight = self.conv.weight().flatten_from(1)?;
        Ok(Linear::new(weight, self.conv.bias().cloned()))
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.conv.forward(x)?;
        Ok(match &self.norm {
            Some(group) => group.norm.forward(&x)?,
            None => x,
        })
    }
}

/// Fully connected layers of the same inputs as one, their outputs one behind the other.
pub fn join(layers: &[&Linear]) -> Result<Linear> {
    let weights = layers.iter().map(|layer| layer.weight()).collect::<Vec<_>>();
    let bias = |layer: &&Linear| match layer.bias() {
        Some(bias) => Ok(bias.clone()),
        None => Tensor::zeros(layer.weight().dim(0)?, DType::F32, layer.weight().device()),
    };
    let biases = layers.iter().map(bias).collect::<candle_core::Result<Vec<_>>>()?;
    Ok(Linear::new(Tensor::cat(&weights, 0)?, Some(Tensor::cat(&biases, 0)?)))
}

/// Hands a convolution's weights over as slices; a missing bias is empty.
pub fn with_filters<T>(conv: &Conv, f: impl FnOnce(&Filters<'_>) -> T) -> Result<T> {
    let (output, input, kernel, _) = conv.conv.weight().dims4()?;
    let bias = conv.conv.bias().map(|b| b.to_vec1::<f32>()).transpose()?.unwrap_or_default();
    let stride = conv.conv.config().stride;
    with_values(conv.conv.weight(), |weight| f(&Filters { weight, bias: &bias, input, output, kernel, stride }))
}

/// Calls `f` with a tensor's values in order, which are copied only where they do not lie so in memory.
pub fn with_values<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(storage), Some((from, to))) => Ok(f(&storage.as_slice::<f32>()?[from..to])),
        _ => Err(candle_core::Error::Msg("a tensor that is not in memory".into()).into()),
    }
}
