//! Shapes of convolutions.

/// Of the first convolution.
pub(super) const KERNEL: usize = 7;
pub(super) const STRIDE: usize = 2;
pub(super) const CHANNELS: usize = 3;
/// Of a filter's row.
pub(super) const VALUES: usize = KERNEL * CHANNELS;

/// A convolution's filters, as [output, input, kernel, kernel], and its shape.
#[derive(Debug, Clone, Copy)]
pub struct Filters<'a> {
    pub weight: &'a [f32],
    /// One value an output channel, or none.
    pub bias: &'a [f32],
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
}
