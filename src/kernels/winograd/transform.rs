//! Winograd's transforms of a tile, all channels in vectors.
//!
//! A line of channels at a time: the lines that are read, and written, next are fetched meanwhile, since most of them lie in the third level cache
//! or beyond, in more places than a processor foresees by itself.

use std::ops::Range;

use super::matrices::{Filter, Input, Matrix, Output, Size};
use crate::kernels::dispatch::for_vectors;
use crate::kernels::gemm::Epilogue;
use crate::kernels::prefetch::LINE;
use crate::kernels::simd::{Isa, Simd};

/// Bᵀ d B of the tile whose pixels' channels are at `pixels`, row by row; each point to a plane of `v`.
///
/// # Safety
/// There are as many pixels as points, each good for `channels` values up to the next multiple of 16, `v` is good for as many in each plane, and the
/// processor has `isa`.
#[rustfmt::skip]
pub(super) unsafe fn input(isa: Isa, size: Size, pixels: &[*const f32], channels: usize, v: *mut f32, plane: usize) {
    // SAFETY: the caller vouches for the pointers and the instruction set.
    unsafe {
        match size {
            Size::Four => for_vectors!(isa, input_body[4, 6](pixels: &[*const f32], channels: usize, v: *mut f32, plane: usize)),
            Size::Six => for_vectors!(isa, input_body[6, 8](pixels: &[*const f32], channels: usize, v: *mut f32, plane: usize)),
        }
    }
}

/// G g Gᵀ of `count` filters, whose nine values lie `count` apart, each point to a plane of `to`.
///
/// # Safety
/// `from` is good for nine times `count` values, a multiple of a panel's width, `to` for `count` in each plane, and the processor has `isa`.
#[rustfmt::skip]
pub(super) unsafe fn filters(isa: Isa, size: Size, from: *const f32, count: usize, to: *mut f32, plane: usize) {
    // SAFETY: the caller vouches for the pointers and the instruction set.
    unsafe {
        match size {
            Size::Four => for_vectors!(isa, filters_body[4, 6](from: *const f32, count: usize, to: *mut f32, plane: usize)),
            Size::Six => for_vectors!(isa, filters_body[6, 8](from: *const f32, count: usize, to: *mut f32, plane: usize)),
        }
    }
}

/// Aᵀ y A for some columns, and what comes then, written to a tile.
///
/// # Safety
/// `y` holds these columns, a multiple of 16, in all planes, `to` is the caller's alone, `tail.bias` is good for the columns, and the processor has
/// `isa`.
#[rustfmt::skip]
pub(super) unsafe fn output(isa: Isa, size: Size, y: *const f32, plane: usize, columns: Range<usize>, to: Target, tail: Epilogue) {
    // SAFETY: the caller vouches for the pointers and the instruction set.
    unsafe {
        match size {
            Size::Four => for_vectors!(isa, output_body[4, 6](y: *const f32, plane: usize, columns: Range<usize>, to: Target, tail: Epilogue)),
            Size::Six => for_vectors!(isa, output_body[6, 8](y: *const f32, plane: usize, columns: Range<usize>, to: Target, tail: Epilogue)),
        }
    }
}

/// Where an output tile goes.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// Its first pixel.
    pub out: *mut f32,
    /// From a pixel to the next, and from a row.
    pub pixel: usize,
    pub row: usize,
    /// Pixels from there to the map's edges.
    pub high: usize,
    pub wide: usize,
}

/// M x, a line of channels each.
#[repr(align(64))]
struct Half<const FROM: usize, const TO: usize>([[[f32; LINE]; FROM]; TO]);

/// M x Mᵀ of so many channels of a line: `at` says where a value's is, and `put` takes some channels of a result's.
///
/// # Safety
/// The processor has `S`, and what `at` says is good for the channels.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "loops over indices are unrolled, and their values stay in registers")]
unsafe fn both_sides<S: Simd, M: Matrix<FROM, TO>, const FROM: usize, const TO: usize>(
    half: &mut Half<FROM, TO>,
    channels: usize,
    at: impl Fn(usize, usize) -> *const f32,
    mut put: impl FnMut(usize, usize, usize, S::V),
) {
    // SAFETY: the caller vouches for both.
    unsafe {
        for j in 0..FROM {
            for c in (0..channels).step_by(S::LANES) {
                let column = M::times::<S>(std::array::from_fn(|i| S::load(at(i, j).add(c))));
                for i in 0..TO {
                    S::store(half.0[i][j].as_mut_ptr().add(c), column[i]);
                }
            }
            for i in 0..FROM {
                S::prefetch(at(i, j).wrapping_add(LINE));
            }
        }
        for i in 0..TO {
            for c in (0..channels).step_by(S::LANES) {
                let row = M::times::<S>(std::array::from_fn(|j| S::load(half.0[i][j].as_ptr().add(c))));
                for j in 0..TO {
                    put(i, j, c, row[j]);
                }
            }
        }
    }
}

/// # Safety
/// As for [`input`], with `S` for `isa`.
#[inline(always)]
unsafe fn input_body<S: Simd, const OUT: usize, const IN: usize>(
    pixels: &[*const f32],
    channels: usize,
    v: *mut f32,
    plane: usize,
) where
    Input<OUT>: Matrix<IN, IN>,
{
    let mut half = Half([[[0.0; LINE]; IN]; IN]);
    let pixels = &pixels[..IN * IN];
    for line in (0..channels).step_by(LINE) {
        // SAFETY: the caller vouches for a line of each pixel and plane, since channels are rounded up to lines.
        unsafe {
            both_sides::<S, Input<OUT>, IN, IN>(
                &mut half,
                LINE,
                |i, j| pixels[i * IN + j].add(line),
                |i, j, c, value| {
                    let to = v.add((i * IN + j) * plane + line + c);
                    S::store(to, value);
                    if c == 0 {
                        S::prefetch(to.wrapping_add(LINE));
                    }
                },
            );
        }
    }
}

/// # Safety
/// As for [`filters`], with `S` for `isa`.
#[inline(always)]
unsafe fn filters_body<S: Simd, const OUT: usize, const IN: usize>(
    from: *const f32,
    count: usize,
    to: *mut f32,
    plane: usize,
) where
    Filter<OUT>: Matrix<3, IN>,
{
    let mut half = Half([[[0.0; LINE]; 3]; IN]);
    for line in (0..count).step_by(LINE) {
        // SAFETY: no more of a line than the caller's values is read or written.
        unsafe {
            both_sides::<S, Filter<OUT>, 3, IN>(
                &mut half,
                LINE.min(count - line),
                |i, j| from.add((i * 3 + j) * count + line),
                |i, j, c, value| S::store(to.add((i * IN + j) * plane + line + c), value),
            );
        }
    }
}

/// # Safety
/// As for [`output`], with `S` for `isa`.
#[inline(always)]
unsafe fn output_body<S: Simd, const OUT: usize, const IN: usize>(
    y: *const f32,
    plane: usize,
    columns: Range<usize>,
    to: Target,
    tail: Epilogue,
) where
    Output<OUT>: Matrix<IN, OUT>,
{
    let mut half = Half([[[0.0; LINE]; IN]; OUT]);
    for line in columns.clone().step_by(LINE) {
        // SAFETY: the columns are whole lines of each plane, of the bias, and of the pixels that are written.
        unsafe {
            both_sides::<S, Output<OUT>, IN, OUT>(
                &mut half,
                LINE,
                |i, j| y.add((i * IN + j) * plane + line - columns.start),
                |i, j, c, value| {
                    if i < to.high && j < to.wide {
                        tail.write::<S>(value, line + c, to.out.add(i * to.row + j * to.pixel + line + c));
                    }
                },
            );
        }
    }
}
