//! Winograd's transforms of a tile, all channels in vectors.

use std::ops::Range;

use super::{IN, OUT};
use crate::kernels::dispatch::for_vectors;
use crate::kernels::gemm::Tail;
use crate::kernels::simd::{Isa, Simd};

/// Bᵀ d B of the tile whose pixels' channels are at `pointers`, each point to a plane of `v`.
///
/// # Safety
/// The pointers are good for `channels` values up to the next multiple of 16, `v` for as many in each plane, and the processor has `isa`.
pub(super) unsafe fn input(isa: Isa, pointers: &[[*const f32; IN]; IN], channels: usize, v: *mut f32, plane: usize) {
    // SAFETY: as above.
    unsafe {
        for_vectors!(isa, input_body(pointers: &[[*const f32; IN]; IN], channels: usize, v: *mut f32, plane: usize))
    }
}

/// G g Gᵀ of `count` filters, whose nine values lie `count` apart, each point to a plane of `to`.
///
/// # Safety
/// `from` is good for nine times `count` values, a multiple of 16, `to` for `count` in each plane, and the processor has `isa`.
pub(super) unsafe fn filters(isa: Isa, from: *const f32, count: usize, to: *mut f32, plane: usize) {
    // SAFETY: as above.
    unsafe { for_vectors!(isa, filters_body(from: *const f32, count: usize, to: *mut f32, plane: usize)) }
}

/// Aᵀ y A for some columns, and what comes then, written to the tile at row and column `at`.
///
/// # Safety
/// `y` holds these columns in all planes, `to` is the caller's alone where the tile is, `tail.bias` is good for the columns, and the processor has
/// `isa`.
pub(super) unsafe fn output(
    isa: Isa,
    y: *const f32,
    plane: usize,
    columns: Range<usize>,
    to: Target,
    at: (usize, usize),
    tail: Tail,
) {
    // SAFETY: as above.
    unsafe {
        for_vectors!(
            isa,
            output_body(y: *const f32, plane: usize, columns: Range<usize>, to: Target, at: (usize, usize), tail: Tail)
        )
    }
}

/// Where an output tile goes.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// The image.
    pub out: *mut f32,
    pub ldc: usize,
    /// Its size.
    pub height: usize,
    pub width: usize,
}

#[inline(always)]
unsafe fn transform_rows<S: Simd>(d: [S::V; IN]) -> [S::V; IN] {
    // SAFETY: the caller has the instruction set.
    unsafe {
        let scaled = |k: f32, a: S::V, b: S::V| S::mul_add(S::splat(k), a, b);
        let a = scaled(-4.0, d[2], d[4]);
        let b = scaled(-4.0, d[1], d[3]);
        let c = S::sub(d[4], d[2]);
        let e = S::sub(d[3], d[1]);
        [
            scaled(4.0, d[0], scaled(-5.0, d[2], d[4])),
            S::add(a, b),
            S::sub(a, b),
            scaled(2.0, e, c),
            scaled(-2.0, e, c),
            scaled(4.0, d[1], scaled(-5.0, d[3], d[5])),
        ]
    }
}

#[inline(always)]
unsafe fn transform_back<S: Simd>(y: [S::V; IN]) -> [S::V; OUT] {
    // SAFETY: the caller has the instruction set.
    unsafe {
        let scaled = |k: f32, a: S::V, b: S::V| S::mul_add(S::splat(k), a, b);
        let (p, q) = (S::add(y[1], y[2]), S::sub(y[1], y[2]));
        let (r, s) = (S::add(y[3], y[4]), S::sub(y[3], y[4]));
        [S::add(y[0], S::add(p, r)), scaled(2.0, s, q), scaled(4.0, r, p), S::add(y[5], scaled(8.0, s, q))]
    }
}

#[inline(always)]
unsafe fn transform_filter<S: Simd>(g: [S::V; 3]) -> [S::V; IN] {
    // SAFETY: the caller has the instruction set.
    unsafe {
        let scaled = |k: f32, a: S::V| S::mul_add(S::splat(k), a, S::splat(0.0));
        let plus = |k: f32, a: S::V, b: S::V| S::mul_add(S::splat(k), a, b);
        let sides = scaled(-1.0 / 6.0, S::add(g[0], g[2]));
        let slope = plus(1.0 / 24.0, g[0], scaled(1.0 / 6.0, g[2]));
        [
            scaled(0.25, g[0]),
            plus(-1.0 / 6.0, g[1], sides),
            plus(1.0 / 6.0, g[1], sides),
            plus(1.0 / 12.0, g[1], slope),
            plus(-1.0 / 12.0, g[1], slope),
            g[2],
        ]
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "as below")]
unsafe fn filters_body<S: Simd>(from: *const f32, count: usize, to: *mut f32, plane: usize) {
    // SAFETY: as `filters` says.
    unsafe {
        for at in (0..count).step_by(S::LANES) {
            let mut half = [[S::splat(0.0); 3]; IN];
            for x in 0..3 {
                let column =
                    transform_filter::<S>(std::array::from_fn(|y| S::load(from.add((y * 3 + x) * count + at))));
                for i in 0..IN {
                    half[i][x] = column[i];
                }
            }
            for i in 0..IN {
                let row = transform_filter::<S>(half[i]);
                for j in 0..IN {
                    S::store(to.add((i * IN + j) * plane + at), row[j]);
                }
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "loops over indices are unrolled, and their values stay in registers")]
unsafe fn input_body<S: Simd>(pointers: &[[*const f32; IN]; IN], channels: usize, v: *mut f32, plane: usize) {
    // SAFETY: as `input` says.
    unsafe {
        for c in (0..channels).step_by(S::LANES) {
            let mut half = [[S::splat(0.0); IN]; IN];
            for j in 0..IN {
                let column = transform_rows::<S>(std::array::from_fn(|i| S::load(pointers[i][j].add(c))));
                for i in 0..IN {
                    half[i][j] = column[i];
                }
            }
            for i in 0..IN {
                let row = transform_rows::<S>(half[i]);
                for j in 0..IN {
                    S::store(v.add((i * IN + j) * plane + c), row[j]);
                }
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "as above")]
unsafe fn output_body<S: Simd>(
    y: *const f32,
    plane: usize,
    columns: Range<usize>,
    to: Target,
    (row, column): (usize, usize),
    tail: Tail,
) {
    // SAFETY: as `output` says.
    unsafe {
        let (high, wide) = (OUT.min(to.height - row), OUT.min(to.width - column));
        for c in columns.clone().step_by(S::LANES) {
            let mut half = [[S::splat(0.0); IN]; OUT];
            for j in 0..IN {
                let from = |i: usize| S::load(y.add((i * IN + j) * plane + c - columns.start));
                let values = transform_back::<S>(std::array::from_fn(from));
                for i in 0..OUT {
                    half[i][j] = values[i];
                }
            }
            for i in 0..OUT {
                if i >= high {
                    break;
                }
                let values = transform_back::<S>(half[i]);
                for j in 0..OUT {
                    if j >= wide {
                        break;
                    }
                    let at = to.out.add(((row + i) * to.width + column + j) * to.ldc + c);
                    tail.write::<S>(values[j], c, at);
                }
            }
        }
    }
}
