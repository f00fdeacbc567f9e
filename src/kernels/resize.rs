//! What changes a map's size: pooling, and adding a coarser level of the pyramid.

use rayon::prelude::*;

use super::map::Map;

/// Largest of 3 × 3 at stride 2; beyond the edge is nothing.
pub fn max_pool(x: &Map) -> Map {
    let (height, width) = (x.height.div_ceil(2), x.width.div_ceil(2));
    let mut out = x.pool().map(x.count, height, width, x.channels);
    let (stride, source) = (x.stride, x.data());
    let per_row = (width * stride).max(1);
    out.data_mut().par_chunks_mut(per_row).enumerate().for_each(|(row, out)| {
        let (image, y) = (row / height, row % height);
        for (column, out) in out.chunks_exact_mut(stride).enumerate() {
            out.fill(f32::NEG_INFINITY);
            for near_y in (2 * y).saturating_sub(1)..(2 * y + 2).min(x.height) {
                for near_x in (2 * column).saturating_sub(1)..(2 * column + 2).min(x.width) {
                    let pixel = &source[((image * x.height + near_y) * x.width + near_x) * stride..][..stride];
                    out.iter_mut().zip(pixel).for_each(|(a, b)| *a = if *b > *a { *b } else { *a });
                }
            }
        }
    });
    out
}

/// Every second pixel of every second row: max-pooling with a kernel of 1.
pub fn subsample(x: &Map) -> Map {
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
pub fn add_upsampled(fine: &mut Map, coarse: &Map, average: bool) {
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
