//! Matrices as products read them: in panels, each as wide as a tile and read from front to back.

use std::ptr::null;

use super::buffer::{Buffer, channel_stride};
use super::simd::Isa;

/// Rows of a narrow panel that stay in a first level cache of 32 KiB while A's pass by.
pub(super) const NEAR_ROWS: usize = 256;

/// A matrix [k, n] in panels of the tile's width; columns from `n` to the next multiple of 16 are zero.
pub(super) struct Packed {
    isa: Isa,
    k: usize,
    n: usize,
    data: Buffer,
}

impl Packed {
    pub fn new(isa: Isa, k: usize, n: usize, at: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let width = isa.nr();
        let data = Buffer::of_chunks(Panels::values(isa, k, n), (k * width).max(1), |panel, data| {
            for (row, data) in data.chunks_exact_mut(width).enumerate() {
                for (column, value) in (panel * width..n).zip(data) {
                    *value = at(row, column);
                }
            }
        });
        Self { isa, k, n, data }
    }

    pub fn panels(&self) -> Panels<'_> {
        Panels::new(self.isa, self.k, self.n, &self.data)
    }
}

/// A packed matrix, wherever it lies.
#[derive(Clone, Copy)]
pub(super) struct Panels<'a> {
    pub isa: Isa,
    pub k: usize,
    /// With the zero columns.
    pub n: usize,
    data: &'a [f32],
}

impl<'a> Panels<'a> {
    /// # Panics
    /// If the data are not as many as `values` says.
    pub fn new(isa: Isa, k: usize, n: usize, data: &'a [f32]) -> Self {
        assert_eq!(data.len(), Self::values(isa, k, n));
        Self { isa, k, n: channel_stride(n), data }
    }

    /// As how many values a matrix [k, n] is packed.
    pub fn values(isa: Isa, k: usize, n: usize) -> usize {
        channel_stride(n).next_multiple_of(isa.nr()) * k
    }

    pub fn width(&self) -> usize {
        self.isa.nr()
    }

    pub fn count(&self) -> usize {
        self.n.div_ceil(self.width())
    }

    /// Row `k` of a panel.
    pub fn row(&self, panel: usize, k: usize) -> *const f32 {
        self.data[(panel * self.k + k) * self.width()..].as_ptr()
    }

    /// Where the panel after this one begins, or null.
    pub fn next(&self, panel: usize) -> *const f32 {
        if panel + 1 < self.count() { self.row(panel + 1, 0) } else { null() }
    }

    /// Columns of a panel.
    pub fn columns(&self, panel: usize) -> usize {
        (self.n - panel * self.width()).min(self.width())
    }
}
