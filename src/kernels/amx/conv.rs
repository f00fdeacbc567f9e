//! Convolutions by strips: some rows of the result, for which what they need of the input is split into a scratch buffer.
//!
//! There, the pixels of a row follow each other, with a zero between rows that pads both, so that one pixel further in the buffer is one pixel
//! further in the result, also across the end of a row; the kernel's tiles need not care for rows. At stride 2 the input's odd and even rows and
//! columns go to planes of their own, for the same reason.

use super::split::{Packed, pitch, split};
use super::tile::{A_STEP, B_STEP, SIDE, STEP, Sums, Tiles, multiply};
use crate::kernels::conv::Filters;
use crate::kernels::gemm::Tail;
use crate::kernels::map::{Map, with_scratch};
use crate::kernels::parallel::{Shared, for_each, threads};

/// Steps of a fully connected layer whose values are split at a time.
const PART: usize = 32;
/// Bytes of filters that stay in a second level cache beside a strip.
const NEAR: usize = 512 << 10;

pub(in crate::kernels) struct Conv {
    kernel: usize,
    stride: usize,
    /// Steps of input channels.
    blocks: usize,
    packed: Packed,
}

/// How a result is cut, in pixels; the rows of a strip follow each other in one image.
struct Plan {
    images: usize,
    /// Of the input, as the strips see it.
    size: (usize, usize),
    /// Of the result.
    height: usize,
    width: usize,
    /// Rows of the result in a strip.
    rows: usize,
    /// Pixels from one row to the next in a plane of the scratch buffer, and its rows.
    across: usize,
    plane_rows: usize,
    pitch: usize,
}

impl Plan {
    fn strips(&self) -> usize {
        self.height.div_ceil(self.rows)
    }

    /// Bytes from one plane to the next.
    fn plane(&self) -> usize {
        self.plane_rows * self.across * self.pitch
    }
}

impl Conv {
    pub fn new(filters: &Filters<'_>) -> Self {
        let Filters { weight, input, output, kernel, stride, .. } = *filters;
        let (blocks, taps) = (input.div_ceil(STEP), kernel * kernel);
        let steps: Vec<_> = steps(kernel, 0..blocks).collect();
        let packed = Packed::new(steps.len(), output, |step, k, o| {
            let (y, x, block) = steps[step];
            let c = block * STEP + k;
            if c < input { weight[(o * input + c) * taps + y * kernel + x] } else { 0.0 }
        });
        Self { kernel, stride, blocks, packed }
    }

    /// A fully connected layer, as in `Linear::new`.
    pub fn linear(input: usize, output: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let blocks = input.div_ceil(STEP);
        let packed = Packed::new(blocks, output, |step, k, o| {
            let k = step * STEP + k;
            if k < input { at(k, o) } else { 0.0 }
        });
        Self { kernel: 1, stride: 1, blocks, packed }
    }

    fn plan(&self, x: &Map, out: &Map) -> Plan {
        let pointwise = self.kernel == 1 && self.stride == 1;
        let (images, size, height, width) = match pointwise {
            true => (1, (x.pixels(), 1), out.pixels(), 1),
            false => (x.count, (x.height, x.width), out.height, out.width),
        };
        let across = width + usize::from(self.kernel > 1);
        let pitch = pitch(if pointwise { self.blocks.min(PART) } else { self.blocks } * STEP);
        let halo = (self.kernel - 1) / self.stride;
        let filters = self.blocks * self.kernel * self.kernel * B_STEP * self.packed.panels() * size_of::<u16>();
        let strip = if filters <= NEAR { NEAR / 2 } else { 2 * NEAR };
        let most = (strip / (across * pitch * self.planes())).saturating_sub(halo).clamp(1, height.max(1));
        // Each thread has as many strips, and none ends with a few rows.
        let strips = (images * height.div_ceil(most)).next_multiple_of(threads()).div_ceil(images.max(1));
        let mut rows = height.div_ceil(strips.max(1)).max(1);
        if pointwise {
            rows = rows.next_multiple_of(SIDE / 2);
        }
        Plan { images, size, height, width, rows, across, plane_rows: rows + halo, pitch }
    }

    /// Planes of the scratch buffer.
    fn planes(&self) -> usize {
        if self.kernel == 1 { 1 } else { self.stride * self.stride }
    }

    /// `out` has the right shape; `tail` is as for the other kernels.
    pub fn run(&self, x: &Map, out: &mut Map, tail: Tail) {
        let plan = self.plan(x, out);
        let part = if self.kernel == 1 && self.stride == 1 { PART } else { self.blocks };
        let bytes = self.planes() * plan.plane() + (SIDE + 2) * plan.pitch;
        let ldc = out.stride;
        let target = Shared::new(out.data_mut());
        for_each(plan.images * plan.strips(), |task| {
            let (image, row) = (task / plan.strips(), task % plan.strips() * plan.rows);
            let rows = plan.rows.min(plan.height - row);
            // SAFETY: one of these is made where `is_there` only, here and below.
            let tiles = unsafe { Tiles::new() };
            with_scratch(bytes.div_ceil(size_of::<f32>()), |scratch| {
                let a = scratch.as_mut_ptr().cast::<u8>();
                for first in (0..self.blocks).step_by(part) {
                    let blocks = first..(first + part).min(self.blocks);
                    // SAFETY: the scratch buffer holds the planes, and what lies behind them.
                    unsafe { self.fill(x, &plan, image, row, blocks.clone(), a) };
                    let strip = Strip {
                        a,
                        offsets: self.offsets(&plan, blocks.len()),
                        first: first * self.kernel * self.kernel,
                        pixels: (rows - 1) * plan.across + plan.width,
                        across: plan.across,
                        width: plan.width,
                        c: target.get().wrapping_add((image * plan.height + row) * plan.width * ldc),
                        ldc,
                    };
                    // SAFETY: these rows of C are this task's alone.
                    unsafe { self.multiply(&tiles, &plan, &strip, tail.part(first == 0, blocks.end == self.blocks)) };
                }
            });
        });
    }

    /// Where each step's values lie from a pixel's first.
    fn offsets(&self, plan: &Plan, blocks: usize) -> Vec<usize> {
        let s = self.stride;
        let offset = |(y, x, block): (usize, usize, usize)| {
            let plane = if self.kernel == 1 { 0 } else { y % s * s + x % s };
            plane * plan.plane() + (y / s * plan.across + x / s) * plan.pitch + block * A_STEP
        };
        steps(self.kernel, 0..blocks).map(offset).collect()
    }

    /// Splits what a strip needs of the input, and zeros for what is outside.
    unsafe fn fill(&self, x: &Map, plan: &Plan, image: usize, row: usize, blocks: std::ops::Range<usize>, a: *mut u8) {
        let (s, pad, (height, width)) = (self.stride, self.kernel / 2, plan.size);
        let from = blocks.start * STEP;
        let count = (blocks.end * STEP).min(x.stride) - from;
        let source = &x.data()[image * height * width * x.stride..];
        let pixel = |y: usize, x_: usize| &source[(y * width + x_) * x.stride + from..][..count];
        let bytes = blocks.len() * A_STEP;
        let mut to = a;
        // SAFETY: as the caller says; a slice is good for its values, of which there are a multiple of 16.
        unsafe {
            for plane in 0..self.planes() {
                for r in 0..plan.plane_rows {
                    let y = ((row + r) * s + plane / s).wrapping_sub(pad);
                    for column in 0..plan.across {
                        let x_ = (column * s + plane % s).wrapping_sub(pad);
                        if y < height && x_ < width {
                            split(pixel(y, x_).as_ptr(), count, to);
                        } else {
                            to.write_bytes(0, bytes);
                        }
                        to = to.add(plan.pitch);
                    }
                }
            }
            // The right of the last row.
            to.write_bytes(0, bytes);
        }
    }

    /// All panels of filters with all pixels of a strip.
    unsafe fn multiply(&self, tiles: &Tiles, plan: &Plan, strip: &Strip, tail: Tail) {
        let panels = self.packed.panels();
        let near = panels * strip.offsets.len() * B_STEP * size_of::<u16>() <= NEAR;
        let blocks = strip.pixels.div_ceil(SIDE);
        let mut sums = Sums([[0.0; SIDE]; SIDE]);
        let mut each = |panel: usize, block: usize| {
            let columns = (self.packed.columns - panel * SIDE).min(SIDE);
            let (b, pixel) = (self.packed.panel(panel, strip.first), block * SIDE);
            // SAFETY: as the caller says; a block's last rows may be what lies behind the planes.
            unsafe {
                let a = strip.a.add(pixel * plan.pitch);
                multiply(tiles, a, plan.pitch, &strip.offsets, b, &mut sums);
                strip.finish(&sums, pixel, panel * SIDE, columns, tail);
            }
        };
        if near {
            (0..blocks).for_each(|block| (0..panels).for_each(|panel| each(panel, block)));
        } else {
            // A panel stays near while the pixels pass by.
            (0..panels).for_each(|panel| (0..blocks).for_each(|block| each(panel, block)));
        }
    }
}

/// A filter's rows, blocks of channels, and columns, in this order: neighbours in a row are read while they are near.
fn steps(kernel: usize, blocks: std::ops::Range<usize>) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..kernel).flat_map(move |y| blocks.clone().flat_map(move |block| (0..kernel).map(move |x| (y, x, block))))
}

/// What the kernel reads and writes for some rows of the result.
struct Strip {
    a: *mut u8,
    offsets: Vec<usize>,
    /// The first step's place in a panel.
    first: usize,
    /// Pixels in the scratch buffer that stand for one of the result, or are between two rows.
    pixels: usize,
    across: usize,
    width: usize,
    c: *mut f32,
    ldc: usize,
}

impl Strip {
    /// Writes the sums of 32 pixels to where they belong.
    #[target_feature(enable = "avx512f")]
    unsafe fn finish(&self, sums: &Sums, pixel: usize, column: usize, columns: usize, tail: Tail) {
        use std::arch::x86_64::*;
        let (mut y, mut x) = (pixel / self.across, pixel % self.across);
        // SAFETY: as for `multiply`.
        unsafe {
            for row in sums.0.iter().take(self.pixels - pixel) {
                if x < self.width {
                    let c = self.c.add((y * self.width + x) * self.ldc + column);
                    for at in (0..columns).step_by(16) {
                        let mut sum = _mm512_load_ps(row.as_ptr().add(at));
                        if !tail.bias.is_null() {
                            sum = _mm512_add_ps(sum, _mm512_loadu_ps(tail.bias.add(column + at)));
                        }
                        if tail.add {
                            sum = _mm512_add_ps(sum, _mm512_loadu_ps(c.add(at)));
                        }
                        if tail.relu {
                            sum = _mm512_max_ps(sum, _mm512_setzero_ps());
                        }
                        _mm512_storeu_ps(c.add(at), sum);
                    }
                }
                x += 1;
                if x == self.across {
                    (y, x) = (y + 1, 0);
                }
            }
        }
    }
}
