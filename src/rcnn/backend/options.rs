//! What a user may choose.

/// How much memory a model may take to be faster. Winograd's filters take four to seven times the memory of plain ones, 200 MB more in
/// a ResNet-50 of full size, and transforming them anew at each use costs one or two hundredths of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Winograd's filters are transformed when they are needed.
    Low,
    /// They are kept.
    Fast,
}

/// What products are made of; sums are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    F32,
    /// On GPUs the box and the mask head in f16.
    F16,
    /// On GPUs everything in f16.
    F16All,
    /// On processors with AMX the RPN, the box and the mask head in bf16, on GPUs but the RPN.
    Bf16,
    /// The backbone and the pyramid, too.
    Bf16All,
}

/// What a CPU runs a network on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernels {
    /// docreader's own, [`crate::kernels`].
    Own(Memory, Dtype),
    /// candle's, which are several times slower: the reference for the others.
    Candle,
}

impl Default for Kernels {
    fn default() -> Self {
        Self::Own(Memory::Low, Dtype::F32)
    }
}

impl Kernels {
    #[cfg(feature = "cuda")]
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::Own(_, dtype) => dtype,
            Self::Candle => Dtype::F32,
        }
    }
}
