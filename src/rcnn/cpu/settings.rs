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

/// What products are made of; sums are f32. On a GPU, both kinds of bf16 are activations and weights in bf16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dtype {
    F32,
    /// On a GPU: activations and weights in f16; boxes move by less than a pixel, scores by less than 0.02
    F16,
    /// The RPN, the box and the mask head in bf16 on processors with AMX, f32 on others; boxes move by less than a pixel, scores by less than 0.02
    Bf16,
    /// The backbone and the pyramid, too: faster still, but boxes move by some pixels, and regions near a threshold come and go
    Bf16All,
}
