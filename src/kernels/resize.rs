//! What changes a map's size: pooling, and adding a coarser level of the pyramid.

use rayon::prelude::*;

use super::dispatch::for_vectors;
use super::map::FeatureMap;
use super::simd::{Isa, Simd};

/// A row of max-pooling with 3 × 3 at stride 2, of the three rows that it covers; at an edge a row may come twice. Pixels are `stride` values.
pub(super) fn max_pool_row(isa: Isa, rows: [&[f32]; 3], stride: usize, out: &mut [f32]) {
    assert!(stride.is_multiple_of(16) && rows.iter().all(|row| row.len() == rows[0].len()));
    assert!(rows[0].len() >= stride && out.len() / stride == (rows[0].len() / stride).div_ceil(2));
    // SAFETY: the lengths fit, and layers assert that their instruction set is there.
    unsafe { for_vectors!(isa, max_pool_body(rows: [&[f32]; 3], stride: usize, out: &mut [f32])) }
}

/// # Safety
/// The processor has `S`, and the lengths are as [`max_pool_row`] asserts.
#[inline(always)]
unsafe fn max_pool_body<S: Simd>(rows: [&[f32]; 3], stride: usize, out: &mut [f32]) {
    let last = rows[0].len() / stride - 1;
    // SAFETY: columns are at most the last one, and vectors lie within the stride, a multiple of their length.
    unsafe {
        for c in (0..stride).step_by(S::LANES) {
            let column = |x: usize| {
                let at = x.min(last) * stride + c;
                let [a, b, d] = rows.map(|row| S::load(row.as_ptr().add(at)));
                S::max(S::max(a, b), d)
            };
            let mut before = column(0);
            for x in 0..out.len() / stride {
                let after = column(2 * x + 1);
                let all = S::max(S::max(before, column(2 * x)), after);
                S::store(out.as_mut_ptr().add(x * stride + c), all);
                before = after;
            }
        }
    }
}

/// Every second pixel of every second row: max-pooling with a kernel of 1.
pub fn subsample(x: &FeatureMap) -> FeatureMap {
    let (height, width) = (x.height.div_ceil(2), x.width.div_ceil(2));
    let mut out = x.pool().map(x.count, height, width, x.channels);
    let (stride, source) = (x.stride, x.data());
    for (pixel, out) in out.data_mut().chunks_exact_mut(stride).enumerate() {
        let (row, column) = (pixel / width, pixel % width);
        let (image, y) = (row / height, row % height);
        out.copy_from_slice(&source[((image * x.height + 2 * y) * x.width + 2 * column) * stride..][..stride]);
    }
    out
}

/// Adds each pixel of the coarser map to the four that it covers, and halves the sum if `average`.
pub fn add_upsampled(fine: &mut FeatureMap, coarse: &FeatureMap, average: bool) {
    let factor = if average { 0.5 } else { 1.0 };
    let (height, width, stride) = (fine.height, fine.width, fine.stride);
    assert!(coarse.stride == stride && coarse.height * 2 >= height && coarse.width * 2 >= width);
    let source = coarse.data();
    fine.data_mut().par_chunks_mut((width * stride).max(1)).enumerate().for_each(|(row, fine)| {
        let (image, y) = (row / height, row % height);
        let above = &source[(image * coarse.height + y / 2) * coarse.width * stride..][..coarse.width * stride];
        for (fine, above) in fine.chunks_mut(2 * stride).zip(above.chunks_exact(stride)) {
            for pixel in fine.chunks_exact_mut(stride) {
                pixel.iter_mut().zip(above).for_each(|(a, b)| *a = (*a + *b) * factor);
            }
        }
    });
}
