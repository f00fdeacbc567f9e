//! Convolutions as matrix products: 1 × 1 and fully connected layers read a map as the matrix that it is, others reach its pixels by pointers.

use super::amx;
use super::buffer::Buffer;
use super::gemm::{Epilogue, Tile, run};
use super::map::{FeatureMap, memory};
use super::matmul::matmul;
use super::packed::{NEAR_ROWS, Packed};
use super::parallel::{Shared, for_each, threads};
use super::prefetch::{Fetch, LINE};
use super::shape::Filters;
use super::simd::{Isa, MR, fence};
use super::winograd::Winograd;

/// What a convolution does besides, while its results are at hand.
#[derive(Debug)]
pub struct PostOps<M = FeatureMap> {
    pub relu: bool,
    /// A map of the result's shape to which the result is added, before the ReLU, and which it may become.
    pub add_to: Option<M>,
    /// Hands the result on split into bf16 as AMX's tiles read it, which saves the next layer on tiles that work; for layers on tiles only.
    pub split: bool,
}

impl<M> Default for PostOps<M> {
    fn default() -> Self {
        Self { relu: false, add_to: None, split: false }
    }
}

impl<M> PostOps<M> {
    pub fn relu() -> Self {
        Self { relu: true, ..Self::default() }
    }
}

/// The map as layers with these options hand it on if [`PostOps::split`]; none where they are not on tiles.
pub fn split(x: &FeatureMap, options: Options) -> Option<FeatureMap> {
    match options.isa.assert_available() {
        Isa::Amx => {
            let form = options.form();
            let mut out = x.pool().map_of(Some(form), (x.count, x.height, x.width), x.channels);
            let stride = out.stride;
            amx::split_row(form, x.data(), x.stride, out.words_mut(), stride);
            Some(out)
        }
        _ => None,
    }
}

/// What a layer may use.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub isa: Isa,
    /// Winograd's transform, which takes a quarter of the multiplications.
    pub winograd: bool,
    /// Whether Winograd's filters are kept as they are transformed, in four to seven times their memory, rather than transformed anew at each use.
    pub keep: bool,
    /// bf16 where the instruction set multiplies it faster than f32: AMX does.
    pub bf16: bool,
}

impl Options {
    pub(super) fn form(self) -> amx::Bf16Layout {
        amx::Bf16Layout::of(self.bf16)
    }
}

/// A convolution that keeps the size at stride 1 (padding kernel/2), ready to run.
pub struct Conv {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    bias: Buffer,
    weights: Weights,
}

enum Weights {
    Plain(Packed, Buffer),
    Winograd(Winograd),
    Tiles(amx::Conv),
}

impl Conv {
    /// # Panics
    /// If the filters' lengths are not those of their shape, or kernel or stride is none.
    pub fn new(options: Options, filters: &Filters<'_>) -> Self {
        let isa = options.isa.assert_available();
        let Filters { weight, bias, input, output, kernel, stride } = *filters;
        assert_eq!(weight.len(), output * input * kernel * kernel);
        assert!(bias.len() == output || bias.is_empty());
        assert!(kernel > 0 && stride > 0);
        let taps = kernel * kernel;
        let weights = match isa {
            Isa::Amx if kernel <= 3 && amx::pays(input, output) => {
                Weights::Tiles(amx::Conv::new(options.form(), filters))
            }
            _ if options.winograd && kernel == 3 && stride == 1 => {
                Weights::Winograd(Winograd::new(isa, options.keep, input, output, weight))
            }
            _ => {
                let at = |k: usize, o: usize| weight[(o * input + k % input) * taps + k / input];
                Weights::Plain(Packed::new(isa, taps * input, output, at), Buffer::of_channels(input, &[]))
            }
        };
        Self { input, output, kernel, stride, bias: Buffer::of_channels(output, bias), weights }
    }

    /// A fully connected layer, which is 1 × 1: `at(k, column)` is the weight from input `k`.
    pub fn linear(
        options: Options,
        input: usize,
        output: usize,
        bias: &[f32],
        at: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let weights = match options.isa.assert_available() {
            Isa::Amx if amx::pays(input, output) => {
                Weights::Tiles(amx::Conv::linear(options.form(), input, output, at))
            }
            isa => Weights::Plain(Packed::new(isa, input, output, at), Buffer::default()),
        };
        Self { input, output, kernel: 1, stride: 1, bias: Buffer::of_channels(output, bias), weights }
    }

    /// [n, H, W, input] → [n, H/stride, W/stride, output].
    ///
    /// # Panics
    /// If the map has other channels, or the one to add to another shape.
    pub fn forward(&self, x: &FeatureMap, then: PostOps) -> FeatureMap {
        assert_eq!(x.channels, self.input, "channels");
        let size = |side: usize| (side + 2 * (self.kernel / 2) - self.kernel) / self.stride + 1;
        let (height, width) = (size(x.height), size(x.width));
        let add = then.add_to.is_some();
        let form = self.form().filter(|_| then.split);
        let mut out = then.add_to.unwrap_or_else(|| x.pool().map_of(form, (x.count, height, width), self.output));
        assert_eq!((out.count, out.height, out.width, out.channels), (x.count, height, width, self.output), "shape");
        assert_eq!(out.form.is_some(), then.split, "split");
        let tail = Epilogue::of(&out, &self.bias, add, then.relu);
        out.pool().count_work(out.pixels() * self.output * self.input * self.kernel * self.kernel);
        match &self.weights {
            Weights::Winograd(winograd) => winograd.run(x, &mut out, tail),
            Weights::Tiles(conv) => conv.run(x, &mut out, tail),
            Weights::Plain(packed, _) if self.kernel == 1 && self.stride == 1 => matmul(x, packed, &mut out, tail),
            Weights::Plain(packed, zeros) => self.forward_indirect(x, packed, zeros, &mut out, tail),
        }
        out
    }

    /// What its tiles multiply, if it is on tiles.
    fn form(&self) -> Option<amx::Bf16Layout> {
        match &self.weights {
            Weights::Tiles(conv) => Some(conv.form()),
            _ => None,
        }
    }

    /// Whether it is on tiles, which take split maps and may make them.
    pub fn uses_amx(&self) -> bool {
        self.form().is_some()
    }

    /// Values that its result of so many pixels takes in memory.
    pub fn result_values(&self, pixels: usize, split: bool) -> usize {
        memory(self.form().filter(|_| split), pixels, self.output)
    }

    /// Tiles of output pixels, each with a pointer to an input pixel for each position of the filter.
    fn forward_indirect(&self, x: &FeatureMap, packed: &Packed, zeros: &Buffer, out: &mut FeatureMap, tail: Epilogue) {
        const TILES: usize = 16;
        let packed = packed.panels();
        let (kernel, stride, pad) = (self.kernel, self.stride, self.kernel / 2);
        let taps = kernel * kernel;
        let (rows, ldc) = (out.pixels(), out.stride);
        let (out_height, out_width) = (out.height, out.width);
        let (source, pixel, in_height, in_width) = (x.data(), x.stride, x.height, x.width);
        let pointer = |row: usize, tap: usize| {
            let (image, at) = (row / (out_height * out_width), row % (out_height * out_width));
            let y = (at / out_width * stride + tap / kernel).wrapping_sub(pad);
            let x = (at % out_width * stride + tap % kernel).wrapping_sub(pad);
            match y < in_height && x < in_width {
                true => source[((image * in_height + y) * in_width + x) * pixel..][..pixel].as_ptr(),
                false => zeros.as_ptr(),
            }
        };
        // A task's rows stay near while the filters' panels pass by.
        let step = (rows / (threads() * 8)).clamp(MR, TILES * MR).next_multiple_of(MR);
        // Of narrow panels so many of the filter's positions at a time that their part of one stays in the first level cache.
        let group = if packed.isa.is_wide() { taps } else { (NEAR_ROWS / self.input.max(1)).clamp(1, taps) };
        let target = Shared::new(out.data_mut());
        for_each(rows.div_ceil(step), |task| {
            let (from, to) = (task * step, ((task + 1) * step).min(rows));
            let tiles: Vec<(usize, usize, Vec<*const f32>)> = (from..to)
                .step_by(MR)
                .map(|row| {
                    let count = MR.min(to - row);
                    let table = (0..taps).flat_map(|tap| (0..count).map(move |r| (tap, r)));
                    (row, count, table.map(|(tap, r)| pointer(row + r, tap)).collect())
                })
                .collect();
            // The input's rows that this thread is likely to reach next, from the middle of the filter on; those above were reached before.
            let next = (task + threads()) * step;
            let middle = kernel / 2 * (kernel + 1);
            let strips = (0..stride.min(kernel)).filter(|_| next < rows).map(|y| pointer(next, middle + y * kernel));
            let lines = step * stride * pixel / LINE;
            for panel in 0..packed.count() {
                let column = panel * packed.width();
                let share = panel * lines / packed.count()..(panel + 1) * lines / packed.count();
                for tap in (0..taps).step_by(group) {
                    let (end, at) = ((tap + group).min(taps), tap * self.input);
                    let next = if end < taps { packed.row(panel, end * self.input) } else { packed.next(panel) };
                    let fetch = Fetch::panel(&packed, (end - tap) * self.input, next);
                    let fetch = if tap == 0 { fetch.and_strips(strips.clone(), share.clone()) } else { fetch };
                    let tail = tail.at_column(column).part(tap == 0, end == taps);
                    for (row, count, table) in &tiles {
                        // SAFETY: pointers are good for a pixel's channels, the panel has `taps * input` rows, the bias all columns, and the
                        // rows of C are this task's alone.
                        unsafe {
                            let (a, b) = (table[tap * count..].as_ptr(), packed.row(panel, at));
                            let c = target.get().add(row * ldc + column);
                            let tile =
                                Tile { taps: end - tap, k: self.input, a, b, c, ldc, fetch: fetch.of(row - from) };
                            run(packed.isa, *count, packed.columns(panel), tile, tail);
                        }
                    }
                }
            }
            if tail.stream {
                fence();
            }
        });
    }
}

impl std::fmt::Debug for Conv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { input, output, kernel, stride, weights, .. } = self;
        let kind = match weights {
            Weights::Plain(..) => "plain",
            Weights::Winograd(_) => "Winograd",
            Weights::Tiles(_) => "tiles",
        };
        write!(f, "Conv {input} to {output}, {kernel}x{kernel} s{stride}, {kind}")
    }
}
