//! Convolutions on the tiles of Intel's AMX, with f32 as the sum of two bf16.
//!
//! A tile instruction multiplies 16 × 32 by 32 × 16 bf16 values and adds to f32: sixteen times what AVX-512 does in f32 in that time. A value is
//! split into its nearest bf16 and the nearest bf16 of what is left, which keeps 16 of 24 bits; of the four products of two such sums the
//! smallest is left out. So a product costs three instructions, and its error is at most 1.5 · 2⁻¹⁷ of it, typically far less: a third of
//! Winograd's, at about five times AVX-512's rate, and with weights no larger than plain ones. Infinities become NaN.

mod conv;
mod plan;
mod split;
mod stem;
mod strip;
mod tile;

pub(super) use conv::Conv;
pub(super) use split::{pixel, split_row};
pub(super) use stem::Stem;
pub(super) use tile::{Bf16Layout, SIDE, STEP, chains, is_there};

/// Whether tiles are faster than AVX-512, although what a layer lacks to full tiles is zeros.
pub(super) fn pays(input: usize, output: usize) -> bool {
    input >= 32 && output >= 32
}
