//! Types of numbers on a GPU.

use crate::rcnn::backend::options;

/// Of activations and weights; sums are f32, and so are the predictions of the heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    F32,
    F16,
    Bf16,
}

impl Dtype {
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Values of 16 bytes.
    pub const fn pack(self) -> usize {
        16 / self.bytes()
    }

    /// As kernels' names end.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

/// What a network's parts compute in.
#[derive(Debug, Clone, Copy)]
pub struct Precision {
    /// The backbone, the pyramid and the RPN.
    pub rpn: Dtype,
    /// The box and the mask head.
    pub heads: Dtype,
}

impl From<options::Dtype> for Precision {
    /// What proposals in less than f32 are off by makes other boxes win in non-maximum suppression, so only the `-all` kinds have that.
    fn from(dtype: options::Dtype) -> Self {
        let (rpn, heads) = match dtype {
            options::Dtype::F32 => (Dtype::F32, Dtype::F32),
            options::Dtype::F16 => (Dtype::F32, Dtype::F16),
            options::Dtype::F16All => (Dtype::F16, Dtype::F16),
            options::Dtype::Bf16 => (Dtype::F32, Dtype::Bf16),
            options::Dtype::Bf16All => (Dtype::Bf16, Dtype::Bf16),
        };
        Self { rpn, heads }
    }
}
