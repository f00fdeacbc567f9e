//! Convolutions by strips: some pixels of the result, for which what they need of the input is split into a scratch buffer.
//!
//! There, the pixels of a row follow each other, with zeros between rows where those pad, so that one pixel further in the buffer is one pixel
//! further in the result, also across the end of a row; the kernel's tiles need not care for rows. At stride 2 the input's odd and even rows and
//! columns go to planes of their own, for the same reason.

use std::ops::Range;

use super::plan::{Plan, Shape};
use super::split::{Packed, copy, split};
use super::strip::Strip;
use super::tile::{Bf16Layout, Rows, SIDE, STEP, Sums, Tiles, multiply};
use crate::kernels::buffer::with_scratch;
use crate::kernels::gemm::Epilogue;
use crate::kernels::map::FeatureMap;
use crate::kernels::parallel::{Shared, for_each};
use crate::kernels::shape::Filters;
use crate::kernels::simd::fence;

pub(in crate::kernels) struct Conv {
    shape: Shape,
    packed: Packed,
}

impl Conv {
    /// # Panics
    /// If the filters are larger than 3 × 3: rows would need more than one zero between them.
    pub fn new(form: Bf16Layout, filters: &Filters<'_>) -> Self {
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

    fn of(form: Bf16Layout, (kernel, stride): (usize, usize), blocks: usize, packed: Packed) -> Self {
        let panels = packed.panels();
        Self { shape: Shape { form, kernel, stride, blocks, panels, given: false, handed_on: false }, packed }
    }

    /// A fully connected layer, as in `kernels::Conv::linear`.
    pub fn linear(form: Bf16Layout, input: usize, output: usize, at: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let blocks = input.div_ceil(STEP);
        let packed = Packed::new(form, blocks, output, |step, k, o| {
            let k = step * STEP + k;
            if k < input { at(k, o) } else { 0.0 }
        });
        Self::of(form, (1, 1), blocks, packed)
    }

    pub fn form(&self) -> Bf16Layout {
        self.shape.form
    }

    /// `out` has the right shape; `tail` is as for the other kernels. Either map may be split.
    pub fn run(&self, x: &FeatureMap, out: &mut FeatureMap, tail: Epilogue) {
        self.run_as(&Plan::new(self.shape.of(x, out), x, out), x, out, tail);
    }

    fn run_as(&self, plan: &Plan, x: &FeatureMap, out: &mut FeatureMap, tail: Epilogue) {
        let shape = &plan.shape;
        let ldc = out.stride;
        let target = Shared::new(out.words_mut());
        for_each(plan.images * plan.strips(), |task| {
            let (image, (row, column)) = (task / plan.strips(), plan.strip(task % plan.strips()));
            let rows = plan.rows.min(plan.height - row);
            let columns = plan.columns.min(plan.width - column);
            // SAFETY: `kernels::Conv` asserts that AMX is there before it makes one of these.
            let tiles = unsafe { Tiles::new() };
            with_scratch((plan.input() + SIDE * plan.sums()) / size_of::<f32>(), |scratch| {
                let (input, sums) = scratch.split_at_mut(plan.input() / size_of::<f32>());
                let sums = Sums { c: sums.as_mut_ptr(), pitch: plan.sums() };
                for first in (0..shape.blocks).step_by(shape.part()) {
                    let blocks = first..(first + shape.part()).min(shape.blocks);
                    let a = if shape.is_direct() {
                        x.pointer(row * x.stride).cast::<u8>()
                    } else {
                        let a = input.as_mut_ptr().cast::<u8>();
                        // SAFETY: the scratch buffer has as many bytes as the plan says, and begins at a cache line.
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
                        sums,
                        tail: tail.part(first == 0, last),
                    };
                    // SAFETY: these pixels of C are this task's alone; both the scratch buffer and a split map have what a last tile reads.
                    unsafe { self.multiply(&tiles, &strip) };
                }
            });
            if tail.stream {
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
    ///
    /// # Safety
    /// `a` is good for [`Plan::input`] bytes, at the start of a cache line, the plan is for `x`, and [`super::is_there`].
    unsafe fn fill(
        &self,
        x: &FeatureMap,
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
            // SAFETY: `from` has these pixels, whose strides are multiples of 16 values; the callers below stay within a plane of `to`.
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
        // SAFETY: `to` passes over the planes, behind which there are some more pixels.
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
    ///
    /// # Safety
    /// The strip's pointers are good for what its plan says, nobody else has its pixels of C, and [`super::is_there`].
    unsafe fn multiply(&self, tiles: &Tiles, strip: &Strip<'_>) {
        let (panels, all) = (self.packed.panels(), self.packed.columns);
        let blocks = strip.pixels.div_ceil(SIDE);
        let form = strip.plan.shape.form;
        let each = |panel: usize, block: usize, sums: Sums| {
            let b = self.packed.panel(panel, strip.first);
            // SAFETY: the caller vouches for A, whose memory goes on behind the last pixel for a block's last rows; the sums have room for it.
            unsafe {
                let pitch = strip.plan.pitch;
                let rows = Rows { a: strip.a.add(block * SIDE * pitch), pitch, offsets: &strip.offsets };
                // Eight blocks bring all of the next panel.
                let next = self.packed.panel((panel + 1).min(panels - 1), strip.first);
                let next = next.wrapping_add(block % 8 * strip.offsets.len() * form.b_step() / 8);
                multiply(tiles, form, rows, (b, next), sums);
            }
        };
        // SAFETY: the sums have room for a block of all panels where `is_near`, else of one; the caller vouches for C.
        unsafe {
            if strip.plan.shape.is_near() {
                // A pixel's results, and what is added to them, are one piece of memory.
                for block in 0..blocks {
                    for panel in 0..panels {
                        let c = strip.sums.c.add(panel * SIDE);
                        each(panel, block, Sums { c, ..strip.sums });
                    }
                    strip.finish(block * SIDE, 0..all);
                }
            } else {
                // A panel stays near while the pixels pass by.
                for panel in 0..panels {
                    for block in 0..blocks {
                        each(panel, block, strip.sums);
                        strip.finish(block * SIDE, panel * SIDE..all.min((panel + 1) * SIDE));
                    }
                }
            }
        }
    }
}

/// A filter's rows, blocks of channels, and columns, in this order: neighbours in a row are read while they are near.
fn steps(kernel: usize, blocks: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..kernel).flat_map(move |y| (0..blocks).flat_map(move |block| (0..kernel).map(move |x| (y, x, block))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::buffer::Buffer;
    use crate::kernels::map::Workspace;

    fn filled(mut map: FeatureMap, seed: u32) -> FeatureMap {
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
        let pool = Workspace::default();
        for (kernel, stride, size) in
            [(3, 1, (9, 21)), (3, 2, (10, 23)), (3, 1, (5, 2)), (1, 2, (7, 9)), (1, 1, (11, 13))]
        {
            let (input, output) = (40, 72);
            let x = filled(pool.map(2, size.0, size.1, input), 1);
            let weight = filled(pool.map(1, 1, output, input * kernel * kernel), 2);
            let weight: Vec<f32> = weight.data()[..output * input * kernel * kernel].to_vec();
            let filters = Filters { weight: &weight, bias: &[], input, output, kernel, stride };
            let bias = Buffer::of_channels(output, &[0.5; 72]);
            for form in [Bf16Layout::HiLo, Bf16Layout::Hi] {
                let conv = Conv::new(form, &filters);
                let run = |strips: usize, parts: usize| {
                    let mut out = pool.map(2, size.0.div_ceil(stride), size.1.div_ceil(stride), output);
                    let tail = Epilogue { bias: bias.as_ptr(), relu: true, ..Epilogue::PLAIN };
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
