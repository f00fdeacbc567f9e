//! The micro-kernel behind every convolution: a tile of C, `M` rows by `V` vectors, is the sum over taps of A's rows times B.
//!
//! Rows of A are reached through a table of pointers per tap, so the same code does a plain product (one tap), and convolutions of any
//! size and stride (a tap for each filter position; padding is a pointer to zeros). B is packed in panels as wide as a tile, read from front
//! to back. With AVX-512 a tile of 6 × 64 keeps 24 accumulators, 4 vectors of B and a value of A in 29 registers.

use std::ptr::null;

use super::buffer::Buffer;
use super::map::{FeatureMap, LARGE};
use super::packed::Panels;
use super::prefetch::{After, Fetch, Lines};
#[cfg(target_arch = "aarch64")]
use super::simd::Neon;
#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::simd::{Isa, MR, Portable, Simd};

/// What happens to a tile's sums.
#[derive(Clone, Copy)]
pub(super) struct Epilogue {
    /// Added to each row, or null.
    pub bias: *const f32,
    /// To be added to C instead of replacing it.
    pub add: bool,
    pub relu: bool,
    /// Past the caches, where C is aligned; who asks for it calls `fence` afterwards.
    pub stream: bool,
}

// SAFETY: its pointer is only read, by kernels whose callers vouch for it.
unsafe impl Send for Epilogue {}
// SAFETY: nothing is written through its pointer.
unsafe impl Sync for Epilogue {}

impl Epilogue {
    pub const PLAIN: Self = Self { bias: null(), add: false, relu: false, stream: false };

    /// For all sums of a layer with this result: a large one goes past the caches, unless it is added to what is there.
    pub fn of(out: &FeatureMap, bias: &Buffer, add: bool, relu: bool) -> Self {
        Self { bias: bias.as_ptr(), add, relu, stream: !add && size_of_val(out.words()) > LARGE }
    }

    /// For the columns from this one on; the bias is there, and has them.
    pub fn at_column(self, column: usize) -> Self {
        Self { bias: self.bias.wrapping_add(column), ..self }
    }

    /// Writes the sums of the columns from `column` on to `at`.
    ///
    /// # Safety
    /// The processor has `S`; `at`, and the bias from `column` on, are good for a vector, `at` aligned to it if `stream`.
    #[inline(always)]
    pub unsafe fn write<S: Simd>(self, mut sum: S::V, column: usize, at: *mut f32) {
        // SAFETY: the caller vouches for the vector, of the bias and of C.
        unsafe {
            if !self.bias.is_null() {
                sum = S::add(sum, S::load(self.bias.add(column)));
            }
            if self.add {
                sum = S::add(sum, S::load(at));
            }
            if self.relu {
                sum = S::max(sum, S::splat(0.0));
            }
            if self.stream {
                S::stream(at, sum);
            } else {
                S::store(at, sum);
            }
        }
    }

    /// For a part of the sums: the bias comes with the first part, the ReLU after the last.
    pub fn part(self, first: bool, last: bool) -> Self {
        Self {
            bias: if first { self.bias } else { null() },
            add: self.add || !first,
            relu: self.relu && last,
            stream: self.stream && first && last,
        }
    }
}

/// A tile: C's rows lie `ldc` apart.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub taps: usize,
    /// Rows of B for each tap.
    pub k: usize,
    /// `taps` times as many pointers as the tile has rows, each good for `k` values.
    pub a: *const *const f32,
    /// `taps * k` rows of a panel.
    pub b: *const f32,
    pub c: *mut f32,
    pub ldc: usize,
    pub fetch: Lines,
}

/// Adds to the sums what one row of B brings.
///
/// # Safety
/// The processor has `S`, each row is good for a value at `k`, and `b` for `V` vectors.
#[inline(always)]
unsafe fn step<S: Simd, const M: usize, const V: usize>(
    sums: &mut [[S::V; V]; M],
    rows: &[*const f32; M],
    k: usize,
    b: *const f32,
) {
    // SAFETY: the caller vouches for the pointers and the instruction set.
    unsafe {
        let values: [S::V; V] = std::array::from_fn(|v| S::load(b.add(v * S::LANES)));
        for (row, sums) in rows.iter().zip(sums) {
            let x = S::splat(*row.add(k));
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = S::mul_add(x, value, *sum);
            }
        }
    }
}

/// # Safety
/// As for [`run`], with `M` rows and `V` vectors; `WIDTH` is the panel's.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "see below")]
unsafe fn tile_body<S: Simd, const M: usize, const V: usize, const WIDTH: usize>(tile: Tile, tail: Epilogue) {
    // SAFETY: the caller vouches for the pointers and the instruction set.
    unsafe {
        let Tile { taps, k: words, a, mut b, c, ldc, fetch } = tile;
        if tail.add {
            for row in 0..M {
                for v in 0..V {
                    S::prefetch(c.wrapping_add(row * ldc + v * S::LANES));
                }
            }
        }
        let mut sums = [[S::splat(0.0); V]; M];
        let mut line = fetch.at;
        for tap in 0..taps {
            let rows: [*const f32; M] = std::array::from_fn(|row| *a.add(tap * M + row));
            let mut k = 0;
            while k + S::UNROLL <= words {
                S::prefetch_far(line);
                line = line.wrapping_add(fetch.step);
                for i in 0..S::UNROLL {
                    if S::FETCHES_ROWS {
                        // In a plain product rows follow each other: this is the tile after the next.
                        S::prefetch(rows[0].wrapping_add(2 * M * words + (k + i) * M));
                    }
                    step::<S, M, V>(&mut sums, &rows, k + i, b.add(i * WIDTH));
                }
                (k, b) = (k + S::UNROLL, b.add(S::UNROLL * WIDTH));
            }
            while k < words {
                step::<S, M, V>(&mut sums, &rows, k, b);
                (k, b) = (k + 1, b.add(WIDTH));
            }
        }
        // By index, so that the loops are unrolled and the sums stay in registers.
        for row in 0..M {
            for v in 0..V {
                tail.write::<S>(sums[row][v], v * S::LANES, c.add(row * ldc + v * S::LANES));
            }
        }
    }
}

/// # Safety
/// As for [`run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn tile_avx512<const M: usize, const V: usize>(tile: Tile, tail: Epilogue) {
    // SAFETY: the caller vouches for the tile, and has AVX-512.
    unsafe { tile_body::<Avx512, M, V, 64>(tile, tail) }
}

/// # Safety
/// As for [`run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_avx2<const M: usize, const V: usize>(tile: Tile, tail: Epilogue) {
    // SAFETY: the caller vouches for the tile, and has AVX2 and FMA.
    unsafe { tile_body::<Avx2, M, V, 16>(tile, tail) }
}

/// # Safety
/// As for [`run`].
#[cfg(target_arch = "aarch64")]
unsafe fn tile_neon<const M: usize, const V: usize>(tile: Tile, tail: Epilogue) {
    // SAFETY: the caller vouches for the tile; every 64-bit ARM has NEON.
    unsafe { tile_body::<Neon, M, V, 16>(tile, tail) }
}

/// # Safety
/// As for [`run`].
unsafe fn tile_portable<const M: usize, const V: usize>(tile: Tile, tail: Epilogue) {
    // SAFETY: the caller vouches for the tile; plain code needs no instruction set.
    unsafe { tile_body::<Portable, M, V, 8>(tile, tail) }
}

/// Computes a tile of 1 to [`MR`] rows and as many columns as its panel has.
///
/// # Safety
/// `tile`'s pointers are good for what it says, C's rows and the bias for `columns` values, and the processor has `isa`.
pub(super) unsafe fn run(isa: Isa, rows: usize, columns: usize, tile: Tile, tail: Epilogue) {
    macro_rules! each_row {
        ($kernel:ident, $($row:literal)*; $vectors:literal) => {
            match rows {
                // SAFETY: the caller vouches for the tile, which has these rows and vectors, and has `isa`.
                $($row => unsafe { $kernel::<$row, $vectors>(tile, tail) },)*
                _ => unreachable!("a tile of {rows} rows"),
            }
        };
    }
    match (isa, columns) {
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx | Isa::Avx512, 64) => each_row!(tile_avx512, 1 2 3 4 5 6; 4),
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx | Isa::Avx512, 48) => each_row!(tile_avx512, 1 2 3 4 5 6; 3),
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx | Isa::Avx512, 32) => each_row!(tile_avx512, 1 2 3 4 5 6; 2),
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx | Isa::Avx512, 16) => each_row!(tile_avx512, 1 2 3 4 5 6; 1),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, 16) => each_row!(tile_avx2, 1 2 3 4 5 6; 2),
        #[cfg(target_arch = "aarch64")]
        (Isa::Neon, 16) => each_row!(tile_neon, 1 2 3 4 5 6; 4),
        (Isa::Portable, 8) => each_row!(tile_portable, 1 2 3 4 5 6; 1),
        _ => unreachable!("a tile of {columns} columns on {}", isa.name()),
    }
}

/// `rows` rows of C, for `panels` of B and its rows `k0..k1`, on one thread. A's rows lie `lda` apart, C's `ldc`.
///
/// # Safety
/// `a` is good for the rows up to `k1`, `c` for the rows up to the last panel's columns, `tail.bias` for B's columns.
#[allow(clippy::too_many_arguments, reason = "a matrix product has three matrices")]
pub(super) unsafe fn block(
    rows: usize,
    (k0, k1): (usize, usize),
    panels: std::ops::Range<usize>,
    (a, lda): (*const f32, usize),
    b: Panels<'_>,
    after: After,
    (c, ldc): (*mut f32, usize),
    tail: Epilogue,
) {
    let (first, count, k) = (panels.start, panels.len(), k1 - k0);
    // Panels outermost: a strip of B stays near while the rows pass by.
    for panel in panels {
        let column = panel * b.width();
        let next = if panel < first + count - 1 { b.row(panel + 1, k0) } else { after.b };
        let fetch = Fetch::panel(&b, k, next).and_rows(after, (rows, k), (panel - first, count), (lda, ldc), column);
        for row in (0..rows).step_by(MR) {
            // SAFETY: the caller vouches for the rows, the panel has rows `k0..k1`, and the table's pointers beyond the tile's rows are not read.
            unsafe {
                let table: [*const f32; MR] = std::array::from_fn(|r| a.wrapping_add((row + r) * lda + k0));
                // `c` itself may lie before what is written: a product of some panels only.
                let c = c.wrapping_add(row * ldc + column);
                let tile = Tile { taps: 1, k, a: table.as_ptr(), b: b.row(panel, k0), c, ldc, fetch: fetch.of(row) };
                let bias = if tail.bias.is_null() { null() } else { tail.bias.add(column) };
                run(b.isa, MR.min(rows - row), b.columns(panel), tile, Epilogue { bias, ..tail });
            }
        }
    }
}
