//! Convolutions by strips: some pixels of the result, for which what they need of the input is split into a scratch buffer.
//!
//! There, the pixels of a row follow each other, with zeros between rows where those pad, so that one pixel further in the buffer is one pixel
//! further in the result, also across the end of a row; the kernel's tiles need not care for rows. At stride 2 the input's odd and even rows and
//! columns go to planes of their own, for the same reason.

use std::ops::Range;

use super::plan::{Plan, Shape};
use super::split::{Packed, load, split, store};
use super::tile::{Form, Rows, SIDE, STEP, Sums, Tiles, multiply};
use crate::kernels::conv::Filters;
use crate::kernels::gemm::Tail;
use crate::kernels::map::{LARGE, Map, with_scratch};
use crate::kernels::parallel::{Shared, for_each};
use crate::kernels::simd::{Avx512, Simd, fence};

pub(in crate::kernels) struct Conv {
    shape: Shape,
    packed: Packed,
}

impl Conv {
    /// # Panics
    /// If the filters are larger than 3 × 3: rows would need more than one zero between them.
    pub fn new(form: Form, filters: &Filters<'_>) -> Self {
        let Filters { weight, input, output, kernel, stride, .. } = *filters;
        assert!(kernel <= 3);
        let (blocks, taps) = (input.div_ceil(STEP), kernel * kernel);
        let steps: Vec<_> = steps(kernel, blocks).collect();
        let packed = Packed::new(form, steps.len(), output, |step, k, o| {
            let (y, x, block) = steps[step];
            let c = block * STEP + k;
            if c < input { weight[(o * input + c) * taps + y * kernel + x] } else { 0.0 }
        });
        Self::of(form, (kernel, stride), blocks, packed)
    }

    fn of(form: Form, (kernel, stride): (usize, usize), blocks: usize, packed: Packed) -> Self {
        let panels = packed.panels();
        Self { shape: Shape { form, kernel, stride, blocks, panels, given: false, handed_on: false }, packed }
    }

    /// A fully connected layer, as in `Linear::new`.
    pub fn linear(form: Form, input: usize, output: usize, at: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let blocks = input.div_ceil(STEP);
        let packed = Packed::new(form, blocks, output, |step, k, o| {
            let k = step * STEP + k;
            if k < input { at(k, o) } else { 0.0 }
        });
        Self::of(form, (1, 1), blocks, packed)
    }

    pub fn form(&self) -> Form {
        self.shape.form
    }

    /// `out` has the right shape; `tail` is as for the other kernels. Either map may be split.
    pub fn run(&self, x: &Map, out: &mut Map, tail: Tail) {
        self.run_as(&Plan::new(self.shape, x, out), x, out, tail);
    }

    fn run_as(&self, plan: &Plan, x: &Map, out: &mut Map, tail: Tail) {
        let shape = &plan.shape;
        let (ldc, stream) = (out.stride, !tail.add && size_of_val(out.words()) > LARGE);
        let target = Shared::new(out.words_mut());
        for_each(plan.images * plan.strips(), |task| {
            let (image, (row, column)) = (task / plan.strips(), plan.strip(task % plan.strips()));
            let rows = plan.rows.min(plan.height - row);
            let columns = plan.columns.min(plan.width - column);
            // SAFETY: one of these is made where `is_there` only, here and below.
            let tiles = unsafe { Tiles::new() };
            with_scratch(plan.scratch().div_ceil(size_of::<f32>()), |scratch| {
                for first in (0..shape.blocks).step_by(shape.part()) {
                    let blocks = first..(first + shape.part()).min(shape.blocks);
                    let a = if shape.is_direct() {
                        x.words()[row * x.stride..].as_ptr().cast::<u8>()
                    } else {
                        let a = scratch.as_mut_ptr().cast::<u8>();
                        // SAFETY: the scratch buffer holds the planes, and what lies behind them.
                        unsafe { self.fill(x, plan, image, (row, column), blocks.clone(), a) };
                        a.cast_const()
                    };
                    let last = blocks.end == shape.blocks;
                    let strip = Strip {
                        a,
                        offsets: self.offsets(plan, blocks.len()),
                        first: first * shape.kernel * shape.kernel,
                        pixels: (rows - 1) * plan.across + columns,
                        columns,
                        plan,
                        c: target.get().wrapping_add(((image * plan.height + row) * plan.width + column) * ldc),
                        ldc,
                        stream: stream && blocks.len() == shape.blocks,
                        tail: tail.part(first == 0, last),
                    };
                    // SAFETY: these pixels of C are this task's alone; a split map has what its last tile reads.
                    unsafe { self.multiply(&tiles, &strip) };
                }
            });
            if stream {
                fence();
            }
        });
    }

    /// Where each step's values lie from a pixel's first.
    fn offsets(&self, plan: &Plan, blocks: usize) -> Vec<usize> {
        let Shape { kernel, stride: s, .. } = plan.shape;
        let offset = |(y, x, block): (usize, usize, usize)| {
            let plane = if kernel == 1 { 0 } else { y % s * s + x % s };
            plane * plan.plane() + (y / s * plan.across + x / s) * plan.pitch + block * plan.shape.form.a_step()
        };
        steps(kernel, blocks).map(offset).collect()
    }

    /// Splits or copies what a strip needs of the input, and zeros for what is outside.
    unsafe fn fill(
        &self,
        x: &Map,
        plan: &Plan,
        image: usize,
        (row, column): (usize, usize),
        blocks: Range<usize>,
        a: *mut u8,
    ) {
        let Shape { kernel, stride: s, form, given, .. } = plan.shape;
        let (pad, (height, width)) = (kernel / 2, plan.size);
        let bytes = blocks.len() * form.a_step();
        // Of a pixel, in a plain map's values.
        let values = blocks.start * STEP..(blocks.end * STEP).min(x.stride);
        let source = &x.words()[image * height * width * x.stride..][..height * width * x.stride];
        // `count` pixels from this one on, `step` apart.
        let bring = |pixel: usize, count: usize, step: usize, to: *mut u8| {
            let from = &source[pixel * x.stride..][..(count - 1) * step * x.stride + x.stride];
            let pixels = (count, step * x.stride, plan.pitch);
            // SAFETY: as the caller says; a slice is good for its values, of which there are a multiple of 16.
            unsafe {
                match given {
                    true => copy(from.as_ptr().cast(), bytes, pixels, to),
                    false => split(form, from[values.start..].as_ptr(), values.len(), pixels, to),
                }
            }
        };
        if plan.shape.is_pointwise() {
            return bring(row, plan.rows.min(height - row), 1, a);
        }
        let mut to = a;
        // SAFETY: as above.
        unsafe {
            for plane in 0..plan.shape.planes() {
                // The first pixel of a row that is inside, and how many are.
                let left = column * s + plane % s;
                let before = pad.saturating_sub(left).div_ceil(s).min(plan.across);
                let inside = (width + pad).saturating_sub(left).div_ceil(s).min(plan.across).max(before);
                for r in 0..plan.plane_rows {
                    let y = ((row + r) * s + plane / s).wrapping_sub(pad);
                    let inside = if y < height { before..inside } else { 0..0 };
                    for pixel in (0..inside.start).chain(inside.end..plan.across) {
                        to.add(pixel * plan.pitch).write_bytes(0, bytes);
                    }
                    if !inside.is_empty() {
                        let start = y * width + left + inside.start * s - pad;
                        bring(start, inside.len(), s, to.add(inside.start * plan.pitch));
                    }
                    to = to.add(plan.across * plan.pitch);
                }
            }
            // The right of the last row.
            to.write_bytes(0, bytes);
        }
    }

    /// All panels of filters with all pixels of a strip.
    unsafe fn multiply(&self, tiles: &Tiles, strip: &Strip<'_>) {
        let panels = self.packed.panels();
        let blocks = strip.pixels.div_ceil(SIDE);
        let mut sums = Sums([[0.0; SIDE]; SIDE]);
        let mut each = |panel: usize, block: usize| {
            let columns = (self.packed.columns - panel * SIDE).min(SIDE);
            let (b, pixel) = (self.packed.panel(panel, strip.first), block * SIDE);
            // SAFETY: as the caller says; a block's last rows may be what lies behind the planes.
            unsafe {
                let pitch = strip.plan.pitch;
                let rows = Rows { a: strip.a.add(pixel * pitch), pitch, offsets: &strip.offsets };
                // Eight blocks bring all of the next panel.
                let next = self.packed.panel((panel + 1).min(panels - 1), strip.first);
                let next = next.wrapping_add(block % 8 * strip.offsets.len() * self.shape.form.b_step() / 8);
                multiply(tiles, self.shape.form, rows, (b, next), &mut sums);
                strip.finish(&sums, pixel, panel * SIDE, columns);
            }
        };
        if strip.plan.shape.is_near() {
            (0..blocks).for_each(|block| (0..panels).for_each(|panel| each(panel, block)));
        } else {
            // A panel stays near while the pixels pass by.
            (0..panels).for_each(|panel| (0..blocks).for_each(|block| each(panel, block)));
        }
    }
}

/// A filter's rows, blocks of channels, and columns, in this order: neighbours in a row are read while they are near.
fn steps(kernel: usize, blocks: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..kernel).flat_map(move |y| (0..blocks).flat_map(move |block| (0..kernel).map(move |x| (y, x, block))))
}

/// What the kernel reads and writes for some pixels of the result.
struct Strip<'a> {
    plan: &'a Plan,
    a: *const u8,
    offsets: Vec<usize>,
    /// The first step's place in a panel.
    first: usize,
    /// Pixels in the scratch buffer that stand for one of the result, or are between two rows.
    pixels: usize,
    /// Pixels of a row of the result.
    columns: usize,
    c: *mut f32,
    ldc: usize,
    stream: bool,
    tail: Tail,
}

impl Strip<'_> {
    /// Writes the sums of 32 pixels to where they belong.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn finish(&self, sums: &Sums, pixel: usize, column: usize, columns: usize) {
        let across = self.plan.across;
        let (mut y, mut x) = (pixel / across, pixel % across);
        // SAFETY: as for `multiply`.
        unsafe {
            for row in sums.0.iter().take(self.pixels - pixel) {
                if x < self.columns {
                    let c = self.c.add((y * self.plan.width + x) * self.ldc);
                    if self.plan.shape.handed_on {
                        let to = c.cast::<u8>().add(column / STEP * self.plan.shape.form.a_step());
                        self.hand_on(row, column, columns, to);
                    } else {
                        for at in (0..columns).step_by(16) {
                            let sum = Avx512::load(row.as_ptr().add(at));
                            self.tail.write::<Avx512>(sum, column + at, c.add(column + at), self.stream);
                        }
                    }
                }
                x += 1;
                if x == across {
                    (y, x) = (y + 1, 0);
                }
            }
        }
    }

    /// Writes a pixel's 32 sums split, of which 16 may be none.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn hand_on(&self, sums: &[f32; SIDE], column: usize, columns: usize, to: *mut u8) {
        let Tail { bias, add, relu, .. } = self.tail;
        let form = self.plan.shape.form;
        // SAFETY: as for `multiply`.
        unsafe {
            let zero = Avx512::splat(0.0);
            let sum = |at: usize| match at < columns {
                true if bias.is_null() => Avx512::load(sums.as_ptr().add(at)),
                true => Avx512::add(Avx512::load(sums.as_ptr().add(at)), Avx512::load(bias.add(column + at))),
                false => zero,
            };
            let (mut low, mut high) = (sum(0), sum(16));
            if add {
                let (other_low, other_high) = load(form, to);
                (low, high) = (Avx512::add(low, other_low), Avx512::add(high, other_high));
            }
            if relu {
                (low, high) = (Avx512::max(low, zero), Avx512::max(high, zero));
            }
            store(form, (low, high), to, self.stream);
        }
    }
}

/// Copies pixels that are split already: so many, whose values lie `step` words apart, to places that lie `pitch` bytes apart.
unsafe fn copy(from: *const u8, bytes: usize, (pixels, step, pitch): (usize, usize, usize), to: *mut u8) {
    let step = step * size_of::<f32>();
    // SAFETY: as for `split`.
    unsafe {
        if (step, bytes) == (pitch, pitch) {
            return from.copy_to_nonoverlapping(to, pixels * pitch);
        }
        for pixel in 0..pixels {
            from.add(pixel * step).copy_to_nonoverlapping(to.add(pixel * pitch), bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::map::{Buffer, Pool};

    fn filled(mut map: Map, seed: u32) -> Map {
        let mut state = seed;
        map.data_mut().fill_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        });
        map
    }

    /// However a convolution is cut, each result has the same sum in the same order.
    #[test]
    fn all_plans_agree() {
        if !super::super::is_there() {
            return;
        }
        let pool = Pool::default();
        for (kernel, stride, size) in
            [(3, 1, (9, 21)), (3, 2, (10, 23)), (3, 1, (5, 2)), (1, 2, (7, 9)), (1, 1, (11, 13))]
        {
            let (input, output) = (40, 72);
            let x = filled(pool.map(2, size.0, size.1, input), 1);
            let weight = filled(pool.map(1, 1, output, input * kernel * kernel), 2);
            let weight: Vec<f32> = weight.data()[..output * input * kernel * kernel].to_vec();
            let filters = Filters { weight: &weight, bias: &[], input, output, kernel, stride };
            let bias = Buffer::of_channels(output, &[0.5; 72]);
            for form in [Form::Pair, Form::Nearest] {
                let conv = Conv::new(form, &filters);
                let run = |strips: usize, parts: usize| {
                    let mut out = pool.map(2, size.0.div_ceil(stride), size.1.div_ceil(stride), output);
                    let tail = Tail { bias: bias.as_ptr(), relu: true, ..Tail::PLAIN };
                    conv.run_as(&Plan::of(conv.shape, &x, &out, strips, parts), &x, &mut out, tail);
                    let pixels = out.data().chunks_exact(out.stride);
                    pixels.flat_map(|pixel| &pixel[..output]).copied().collect::<Vec<f32>>()
                };
                let whole = run(1, 1);
                for (strips, parts) in [(1, 2), (1, 4), (2, 1), (3, 2), (4, 4), (9, 1), (5, 3)] {
                    assert!(
                        run(strips, parts) == whole,
                        "{kernel}x{kernel} s{stride}, {strips} strips of {parts} parts"
                    );
                }
            }
        }
    }
}
