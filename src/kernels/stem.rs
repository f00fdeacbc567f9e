//! The network's beginning: a 7 × 7 convolution at stride 2 on three channels, and the largest of 3 × 3 at stride 2. A filter's row is 21 values
//! that follow each other in the image, so it has 7 taps of 21 values instead of 49 of 3. What is pooled never lies in memory as a whole, which
//! would be the largest of all maps: three rows are kept.

use std::ops::Range;
use std::ptr::null;

use rayon::prelude::*;

use super::amx;
use super::buffer::{Buffer, channel_stride, with_scratch};
use super::conv::Options;
use super::gemm::{Epilogue, Tile, run};
use super::map::{FeatureMap, Workspace};
use super::packed::Packed;
use super::parallel::{Shared, for_each};
use super::prefetch::Lines;
use super::resize::max_pool_row;
use super::shape::{CHANNELS, Filters, KERNEL, STRIDE, VALUES};
use super::simd::{Isa, MR};

/// Pixels of zeros around the image.
pub const BORDER: usize = KERNEL / 2;
/// Rows of the convolution that are kept, and of the result that a task makes: the last row of the task before is made again.
const KEPT: usize = 3;
const STRIP: usize = 8;

/// The network's input, [H, W, 3], within a border of zeros.
pub struct Image {
    height: usize,
    width: usize,
    /// A row of the image is a pixel of this.
    data: FeatureMap,
}

impl Image {
    /// All zero.
    pub fn new(pool: &Workspace, height: usize, width: usize) -> Self {
        let mut data = pool.map(1, height + 2 * BORDER, 1, (width + 2 * BORDER) * CHANNELS);
        data.data_mut().fill(0.0);
        Self { height, width, data }
    }

    /// Without the border.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// What it lies in.
    pub fn map(&self) -> &FeatureMap {
        &self.data
    }

    /// Its rows without their border: three values a pixel.
    pub fn par_rows_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [f32]> {
        let (stride, count) = (self.data.stride, self.width * CHANNELS);
        let inside = &mut self.data.data_mut()[BORDER * stride..][..self.height * stride];
        inside.par_chunks_exact_mut(stride).map(move |line| &mut line[BORDER * CHANNELS..][..count])
    }
}

/// The first convolution, with a ReLU and the pooling that comes then.
pub struct Stem {
    isa: Isa,
    output: usize,
    bias: Buffer,
    weights: Weights,
}

enum Weights {
    Plain(Packed),
    Tiles(amx::Stem),
}

impl Stem {
    /// Of the convolution and the pooling together.
    pub const STRIDE: usize = 4;

    /// # Panics
    /// If the filters are not 7 × 7, stride 2, on three channels.
    pub fn new(options: Options, filters: &Filters<'_>) -> Self {
        let Filters { weight, bias, input, output, kernel, stride } = *filters;
        assert_eq!((input, kernel, stride, weight.len()), (CHANNELS, KERNEL, STRIDE, output * KERNEL * VALUES));
        let at = |k: usize, o: usize| {
            let (y, x, c) = (k / VALUES, k / CHANNELS % KERNEL, k % CHANNELS);
            weight[((o * CHANNELS + c) * KERNEL + y) * KERNEL + x]
        };
        let weights = match options.isa.assert_available() {
            Isa::Amx if amx::pays(amx::SIDE, output) => Weights::Tiles(amx::Stem::new(options.form(), output, at)),
            isa => Weights::Plain(Packed::new(isa, KERNEL * VALUES, output, at)),
        };
        Self { isa: options.isa, output, bias: Buffer::of_channels(output, bias), weights }
    }

    /// [H, W, 3] → [1, H/4, W/4, output], `split` as in [`super::PostOps`].
    pub fn forward(&self, image: &Image, split: bool) -> FeatureMap {
        let (height, width) = (image.height.div_ceil(STRIDE), image.width.div_ceil(STRIDE));
        let form = self.form().filter(|_| split);
        let mut out = image.data.pool().map_of(form, (1, height.div_ceil(2), width.div_ceil(2)), self.output);
        out.pool().count_work(height * width * KERNEL * VALUES * self.output);
        let (rows, pixels) = (out.height, out.width);
        let (stride, to_stride) = (channel_stride(self.output), out.stride);
        let target = Shared::new(out.words_mut());
        for_each(rows.div_ceil(STRIP), |task| {
            let made = task * STRIP..((task + 1) * STRIP).min(rows);
            let needed = (2 * made.start).saturating_sub(1)..(2 * made.end).min(height);
            let (kept, pooled) = (KEPT * width * stride, pixels * stride);
            with_scratch(kept + pooled + self.scratch(needed.len(), width), |scratch| {
                let (kept, rest) = scratch.split_at_mut(kept);
                let (pooled, lines) = rest.split_at_mut(pooled);
                self.prepare(image, &needed, width, lines);
                let mut next = needed.start;
                for y in made {
                    let last = (2 * y + 1).min(height - 1);
                    for row in next..=last {
                        let to = &mut kept[row % KEPT * width * stride..][..width * stride];
                        self.row(image, row, row - needed.start, lines, to, stride);
                    }
                    next = last + 1;
                    let row = |row: usize| &kept[row % KEPT * width * stride..][..width * stride];
                    let rows = [row((2 * y).saturating_sub(1)), row(2 * y), row(last)];
                    let length = pixels * to_stride;
                    // SAFETY: rows of the result are this task's alone.
                    let to = unsafe { std::slice::from_raw_parts_mut(target.at(y * length).get(), length) };
                    match form {
                        None => max_pool_row(self.isa, rows, stride, to),
                        Some(form) => {
                            max_pool_row(self.isa, rows, stride, pooled);
                            amx::split_row(form, pooled, stride, to, to_stride);
                        }
                    }
                }
            });
        });
        out
    }

    fn form(&self) -> Option<amx::Bf16Layout> {
        match &self.weights {
            Weights::Plain(_) => None,
            Weights::Tiles(stem) => Some(stem.form()),
        }
    }

    /// As [`super::Conv::uses_amx`].
    pub fn uses_amx(&self) -> bool {
        self.form().is_some()
    }

    /// Values that [`Self::prepare`] writes for so many rows of the convolution.
    fn scratch(&self, rows: usize, width: usize) -> usize {
        match &self.weights {
            Weights::Plain(_) => 0,
            Weights::Tiles(stem) => stem.scratch((rows - 1) * STRIDE + KERNEL, width),
        }
    }

    /// Brings the image's lines that some rows need into the kernel's form.
    fn prepare(&self, image: &Image, rows: &Range<usize>, width: usize, lines: &mut [f32]) {
        match &self.weights {
            Weights::Plain(_) => {}
            Weights::Tiles(stem) => {
                let stride = image.data.stride;
                let count = (rows.len() - 1) * STRIDE + KERNEL;
                let from = &image.data.data()[rows.start * STRIDE * stride..][..count * stride];
                assert!(lines.len() >= stem.scratch(count, width));
                // SAFETY: there is room, at a cache line, since pixels are whole ones; weights are for tiles only where AMX is there.
                unsafe { stem.split(from, stride, width, lines.as_mut_ptr().cast()) }
            }
        }
    }

    /// A row of the convolution, which is number `at` of those that `lines` were prepared for.
    fn row(&self, image: &Image, row: usize, at: usize, lines: &[f32], out: &mut [f32], stride: usize) {
        let tail = Epilogue { bias: self.bias.as_ptr(), relu: true, ..Epilogue::PLAIN };
        let width = out.len() / stride;
        match &self.weights {
            Weights::Plain(weights) => plain_row(weights, image, row, out, stride, tail),
            Weights::Tiles(stem) => {
                let lines = lines[stem.scratch(at * STRIDE, width)..].as_ptr().cast();
                // SAFETY: `prepare` made the lines with AMX there; `out` has `width` pixels, and the bias all outputs.
                unsafe { stem.row(lines, width, (out.as_mut_ptr(), stride), tail) }
            }
        }
    }
}

fn plain_row(weights: &Packed, image: &Image, y: usize, out: &mut [f32], stride: usize, tail: Epilogue) {
    /// Tiles that a panel of the weights stays near for.
    const TILES: usize = 8;
    let weights = weights.panels();
    let (line, source) = (image.data.stride, image.data.data());
    for (x, out) in out.chunks_mut(TILES * MR * stride).enumerate() {
        let pixels = out.len() / stride;
        let mut tables = [[null(); KERNEL * MR]; TILES];
        for (tile, table) in tables.iter_mut().enumerate().take(pixels.div_ceil(MR)) {
            let count = MR.min(pixels - tile * MR);
            for (tap, r) in (0..KERNEL).flat_map(|tap| (0..count).map(move |r| (tap, r))) {
                let pixel = (x * TILES + tile) * MR + r;
                let at = (y * STRIDE + tap) * line + pixel * STRIDE * CHANNELS;
                table[tap * count + r] = source[at..][..VALUES].as_ptr();
            }
        }
        for panel in 0..weights.count() {
            let column = panel * weights.width();
            for (out, table) in out.chunks_mut(MR * stride).zip(&tables) {
                // SAFETY: each pointer is good for 21 values, the panel has 147 rows, and `out` has as many pixels as the table is for.
                unsafe {
                    let (b, c) = (weights.row(panel, 0), out.as_mut_ptr().add(column));
                    let a = table.as_ptr();
                    let tile = Tile { taps: KERNEL, k: VALUES, a, b, c, ldc: stride, fetch: Lines::NONE };
                    run(weights.isa, out.len() / stride, weights.columns(panel), tile, tail.at_column(column));
                }
            }
        }
    }
}

impl std::fmt::Debug for Stem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.weights {
            Weights::Plain(_) => "plain",
            Weights::Tiles(_) => "tiles",
        };
        write!(f, "Stem to {}, {kind}", self.output)
    }
}
