//! The first convolution: 7 × 7, stride 2, on three channels. A filter's row is 21 values that follow each other in the image, so it has 7
//! taps of 21 values instead of 49 of 3.

use std::ptr::null;

use super::conv::Filters;
use super::gemm::{Packed, ROWS, Tail, Tile, run};
use super::map::{Buffer, Map, Pool};
use super::parallel::{Shared, for_each};
use super::simd::Isa;

const KERNEL: usize = 7;
const STRIDE: usize = 2;
const CHANNELS: usize = 3;
/// Pixels of zeros around the image.
pub const BORDER: usize = KERNEL / 2;

/// The network's input, [H, W, 3], within a border of zeros.
pub struct Image {
    height: usize,
    width: usize,
    /// A row of the image is a pixel of this.
    data: Map,
}

impl Image {
    /// All zero.
    pub fn new(pool: &Pool, height: usize, width: usize) -> Self {
        let mut data = pool.map(1, height + 2 * BORDER, 1, (width + 2 * BORDER) * CHANNELS);
        data.data_mut().fill(0.0);
        Self { height, width, data }
    }

    /// Row `y` without its border: three values a pixel.
    ///
    /// # Panics
    /// Below the image.
    pub fn row_mut(&mut self, y: usize) -> &mut [f32] {
        assert!(y < self.height);
        let start = (y + BORDER) * self.data.stride + BORDER * CHANNELS;
        &mut self.data.data_mut()[start..][..self.width * CHANNELS]
    }
}

/// The first convolution, with a ReLU.
pub struct Stem {
    output: usize,
    bias: Buffer,
    weights: Packed,
}

impl Stem {
    /// # Panics
    /// If the filters are not 7 × 7, stride 2, on three channels.
    pub fn new(isa: Isa, filters: &Filters<'_>) -> Self {
        let Filters { weight, bias, input, output, kernel, stride } = *filters;
        assert_eq!((input, kernel, stride, weight.len()), (CHANNELS, KERNEL, STRIDE, output * 147));
        let at = |k: usize, o: usize| {
            let (y, x, c) = (k / (KERNEL * CHANNELS), k / CHANNELS % KERNEL, k % CHANNELS);
            weight[((o * CHANNELS + c) * KERNEL + y) * KERNEL + x]
        };
        let weights = Packed::new(isa.there(), KERNEL * KERNEL * CHANNELS, output, at);
        Self { output, bias: Buffer::of_channels(output, bias), weights }
    }

    /// [H, W, 3] → [1, H/2, W/2, output].
    pub fn forward(&self, image: &Image) -> Map {
        let size = |side: usize| (side + 2 * BORDER - KERNEL) / STRIDE + 1;
        let (height, width) = (size(image.height), size(image.width));
        let mut out = image.data.pool().map(1, height, width, self.output);
        out.pool().count_work(height * width * self.weights.k * self.output);
        let (ldc, source_row, source) = (out.stride, image.data.stride, image.data.data());
        let target = Shared::new(out.data_mut());
        for_each(height, |y| {
            for x in (0..width).step_by(ROWS) {
                let count = ROWS.min(width - x);
                let mut table = [null(); KERNEL * ROWS];
                for tap in 0..KERNEL {
                    for r in 0..count {
                        let at = (y * STRIDE + tap) * source_row + (x + r) * STRIDE * CHANNELS;
                        table[tap * count + r] = source[at..][..KERNEL * CHANNELS].as_ptr();
                    }
                }
                for panel in 0..self.weights.panels() {
                    let column = panel * self.weights.width();
                    // SAFETY: each pointer is good for 21 values, the panel has 147 rows, and the row of the output is this task's.
                    unsafe {
                        let c = target.get().add((y * width + x) * ldc + column);
                        let b = self.weights.row(panel, 0);
                        let tile = Tile { taps: KERNEL, k: KERNEL * CHANNELS, a: table.as_ptr(), b, c, ldc };
                        let tail = Tail { bias: self.bias.as_ptr().add(column), relu: true, ..Tail::PLAIN };
                        run(self.weights.isa, count, self.weights.columns(panel), tile, tail);
                    }
                }
            }
        });
        out
    }
}

impl std::fmt::Debug for Stem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stem to {}", self.output)
    }
}
