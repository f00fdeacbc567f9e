//! What a user may choose.

/// How much memory a model may take to be faster. Winograd's filters take four to seven times the memory of plain ones, 200 MB more in
/// a ResNet-50 of full size, and transforming them anew at each use costs one or two hundredths of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Memory {
    /// Winograd's filters are transformed when they are needed
    Low,
    /// They are kept
    Fast,
}

/// What products are made of; sums are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dtype {
    F32,
    /// On GPUs: the box and the mask head in f16; boxes move by less than a pixel, scores by less than 0.02
    F16,
    /// On GPUs: everything in f16, twice as fast, but some boxes move by some pixels, as in PyTorch's autocast
    F16All,
    /// On processors with AMX the RPN, the box and the mask head in bf16, on GPUs but the RPN; boxes move by less than a pixel, scores by less than 0.02
    Bf16,
    /// The backbone and the pyramid, too: faster still, but boxes move by some pixels, and regions near a threshold come and go
    Bf16All,
}
