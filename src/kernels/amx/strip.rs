//! What becomes of a strip's sums.

use std::ops::Range;

use super::plan::Plan;
use super::split::{LINE, load, store};
use super::tile::{SIDE, STEP, Sums};
use crate::kernels::gemm::Epilogue;
use crate::kernels::simd::{Avx512, Simd};

/// What the kernel reads and writes for some pixels of the result.
pub(super) struct Strip<'a> {
    pub plan: &'a Plan,
    pub a: *const u8,
    pub offsets: Vec<usize>,
    /// The first step's place in a panel.
    pub first: usize,
    /// Pixels in the scratch buffer that stand for one of the result, or are between two rows.
    pub pixels: usize,
    /// Pixels of a row of the result.
    pub columns: usize,
    pub c: *mut f32,
    pub ldc: usize,
    pub sums: Sums,
    pub tail: Epilogue,
}

impl Strip<'_> {
    /// Writes the sums of 32 pixels to where they belong, in these columns.
    ///
    /// # Safety
    /// The sums are those of the pixels' columns, C's pixels are the caller's alone, the bias has the columns, and [`super::is_there`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub unsafe fn finish(&self, pixel: usize, columns: Range<usize>) {
        let across = self.plan.across;
        let (mut y, mut x) = (pixel / across, pixel % across);
        // SAFETY: the caller vouches for the sums and for C, of which no pixel beyond the strip is written.
        unsafe {
            for row in 0..SIDE.min(self.pixels - pixel) {
                if x < self.columns {
                    let sums = self.sums.c.cast::<u8>().add(row * self.sums.pitch).cast();
                    let to = self.c.add((y * self.plan.width + x) * self.ldc);
                    if self.plan.shape.handed_on {
                        self.hand_on(sums, columns.clone(), to.cast());
                    } else {
                        write(self.tail, sums, columns.clone(), to);
                    }
                }
                x += 1;
                if x == across {
                    (y, x) = (y + 1, 0);
                }
            }
        }
    }

    /// Writes a pixel's sums split; the last 16 may be none.
    ///
    /// # Safety
    /// As for [`Self::finish`]; `to` is the pixel, of a split map.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn hand_on(&self, sums: *const f32, columns: Range<usize>, to: *mut u8) {
        let Epilogue { bias, add, relu, stream, .. } = self.tail;
        let form = self.plan.shape.form;
        // SAFETY: columns are multiples of 16, of which none beyond the last is read; a step of the map is whole cache lines.
        unsafe {
            let zero = Avx512::splat(0.0);
            let sum = |column: usize| {
                if column >= columns.end {
                    return zero;
                }
                let sum = Avx512::load(sums.add(column - columns.start));
                if bias.is_null() { sum } else { Avx512::add(sum, Avx512::load(bias.add(column))) }
            };
            for column in columns.clone().step_by(STEP) {
                let to = to.add(column / STEP * form.a_step());
                let (mut low, mut high) = (sum(column), sum(column + 16));
                if add {
                    let (other_low, other_high) = load(form, to);
                    (low, high) = (Avx512::add(low, other_low), Avx512::add(high, other_high));
                }
                if relu {
                    (low, high) = (Avx512::max(low, zero), Avx512::max(high, zero));
                }
                store(form, (low, high), to, LINE, stream);
            }
        }
    }
}

/// Writes a pixel's sums, which begin with the first of these columns.
///
/// # Safety
/// As for [`Epilogue::write`] with each 16 of them; `to` is the pixel's first value.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn write(tail: Epilogue, sums: *const f32, columns: Range<usize>, to: *mut f32) {
    // SAFETY: the caller vouches for each 16 of the columns.
    unsafe {
        for (i, column) in columns.step_by(16).enumerate() {
            tail.write::<Avx512>(Avx512::load(sums.add(i * 16)), column, to.add(column));
        }
    }
}
