//! 3 × 3 convolutions at stride 1 by Winograd's F(4 × 4, 3 × 3), a quarter of the multiplications, or F(6 × 6, 3 × 3), a fifth.
//!
//! An output tile of 4 × 4 pixels comes from 6 × 6 input pixels. These are transformed (Bᵀ d B), multiplied by the filters, which are transformed
//! (G g Gᵀ) at each use, or at the first, as 36 matrix products over tiles and channels, and transformed back (Aᵀ y A); likewise 6 × 6 pixels from
//! 8 × 8. After Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks". The error is about 1.5e-5, and 3e-5, of the largest value.

mod matrices;
mod plan;
mod transform;

use std::ops::Range;
use std::sync::OnceLock;

use super::buffer::{Buffer, with_scratch};
use super::gemm::{Epilogue, block};
use super::map::FeatureMap;
use super::packed::{Packed, Panels};
use super::parallel::{Shared, for_each};
use super::prefetch::After;
use super::simd::{Isa, fence};
use matrices::Size;
use plan::{Grid, Plan, Strip};
use transform::Target;

const TAPS: usize = 9;

pub(super) struct Winograd {
    isa: Isa,
    input: usize,
    output: usize,
    /// As 3 × 3 matrices [input, output].
    filters: Packed,
    /// As they are transformed for tiles of either size, if they are kept: as many matrices as points, each followed by a row that is not used, else
    /// all stores of a transform would meet in one set of the cache.
    kept: Option<[OnceLock<Buffer>; 2]>,
    zeros: Buffer,
}

impl Winograd {
    /// `weight` is [output, input, 3, 3]; `keep` is as in [`super::Options`].
    pub fn new(isa: Isa, keep: bool, input: usize, output: usize, weight: &[f32]) -> Self {
        let filters = Packed::new(isa, TAPS * input, output, |k, o| weight[(o * input + k % input) * TAPS + k / input]);
        let zeros = Buffer::of_channels(input, &[]);
        Self { isa, input, output, filters, kept: keep.then(Default::default), zeros }
    }

    /// Rows from a point's matrix to the next one's.
    fn apart(&self) -> usize {
        self.input + 1
    }

    fn transformed_values(&self, size: Size) -> usize {
        Panels::values(self.isa, size.points() * self.apart(), self.output)
    }

    /// Writes G g Gᵀ of the filters.
    fn transform_filters(&self, size: Size, to: &mut [f32]) {
        let plain = self.filters.panels();
        let apart = self.apart() * plain.width();
        assert_eq!(to.len(), self.transformed_values(size));
        let (count, target) = (self.input * plain.width(), Shared::new(to));
        for_each(plain.count(), |panel| {
            let to = target.at(panel * size.points() * apart).get();
            // SAFETY: a panel of plain filters holds nine matrices, this task's panel of transformed ones room for one a point; `Conv::new` asserts
            // that the instruction set is there.
            unsafe { transform::filters(self.isa, size, plain.row(panel, 0), count, to, apart) }
        });
    }

    /// `tail` holds for the result; both maps have the same size.
    pub fn run(&self, x: &FeatureMap, out: &mut FeatureMap, tail: Epilogue) {
        self.run_on(&Grid::best(self.isa, x), x, out, tail);
    }

    fn run_on(&self, grid: &Grid, x: &FeatureMap, out: &mut FeatureMap, tail: Epilogue) {
        let size = grid.size;
        let plan = Plan::new(self.isa, grid, self.input, self.output);
        let mut space = None;
        let filters: &[f32] = match &self.kept {
            Some(kept) => kept[usize::from(size == Size::Six)].get_or_init(|| {
                let mut kept = Buffer::zeroed(self.transformed_values(size));
                self.transform_filters(size, &mut kept);
                kept
            }),
            None => {
                let space = space.insert(x.pool().map(1, 1, 1, self.transformed_values(size)));
                self.transform_filters(size, space.data_mut());
                space.data()
            }
        };
        let filters = Panels::new(self.isa, size.points() * self.apart(), self.output, filters);
        let strip = Strip::new(size, filters, self.input, &plan);
        let (pixel, row) = (out.stride, out.stride * grid.width);
        let target = Shared::new(out.data_mut());
        // SAFETY: `run_strips` and `run_together` give a row of each plane for `v`, and the map has the filters' channels.
        let input = |tile: usize, v: *mut f32| unsafe { self.transform_input(x, grid, tile, v, strip.v_plane) };
        let output = |tile: usize, y: *const f32, columns: Range<usize>| {
            let (image, top, left) = grid.at(tile);
            let out = target.at((image * grid.height + top) * row + left * pixel).get();
            let (high, wide) = (grid.height - top, grid.width - left);
            // SAFETY: `y` holds these columns in all planes, the tile's pixels are this task's alone, and the bias has all columns.
            unsafe {
                let to = Target { out, pixel, row, high, wide };
                transform::output(self.isa, size, y, strip.y_plane, columns, to, tail);
            }
        };
        if plan.together {
            self.run_together(grid.tiles, &plan, &strip, input, output);
        } else {
            self.run_strips(grid.tiles, &plan, &strip, input, output);
        }
    }

    /// Each thread takes strips of tiles through all phases.
    fn run_strips(
        &self,
        tiles: usize,
        plan: &Plan,
        strip: &Strip<'_>,
        input: impl Fn(usize, *mut f32) + Sync,
        output: impl Fn(usize, *const f32, Range<usize>) + Sync,
    ) {
        let (all, width) = (strip.filters.count(), strip.filters.width());
        for_each(tiles.div_ceil(plan.tiles), |task| {
            let (from, to) = (task * plan.tiles, ((task + 1) * plan.tiles).min(tiles));
            with_scratch(strip.len(), |scratch| {
                let (v, y) = strip.of(scratch);
                for tile in from..to {
                    input(tile, v.wrapping_add((tile - from) * strip.v_row));
                }
                for panel in (0..all).step_by(plan.panels) {
                    let panels = panel..(panel + plan.panels).min(all);
                    for point in 0..strip.points {
                        // SAFETY: the scratch buffer holds the strip, and is this thread's.
                        unsafe { self.multiply(point, to - from, panels.clone(), panel, strip, (v, y)) };
                    }
                    let columns = panel * width..(panels.end * width).min(strip.filters.n);
                    for tile in from..to {
                        output(tile, y.wrapping_add((tile - from) * strip.y_row), columns.clone());
                    }
                }
            });
            fence();
        });
    }

    /// Where the filters outweigh the tiles they are read once, by all threads together.
    fn run_together(
        &self,
        tiles: usize,
        plan: &Plan,
        strip: &Strip<'_>,
        input: impl Fn(usize, *mut f32) + Sync,
        output: impl Fn(usize, *const f32, Range<usize>) + Sync,
    ) {
        const PER_TASK: usize = 4;
        let (panels, columns) = (strip.filters.count(), strip.filters.n);
        with_scratch(strip.len(), |scratch| {
            let v = Shared::new(scratch);
            let y = v.at(strip.points * strip.v_plane);
            for from in (0..tiles).step_by(plan.tiles) {
                let count = plan.tiles.min(tiles - from);
                let each = |task: usize| task * PER_TASK..((task + 1) * PER_TASK).min(count);
                for_each(count.div_ceil(PER_TASK), |task| {
                    each(task).for_each(|k| input(from + k, v.get().wrapping_add(k * strip.v_row)));
                });
                for_each(strip.points * 2, |task| {
                    let half = panels.div_ceil(2);
                    let part = if task % 2 == 0 { 0..half } else { half..panels };
                    if !part.is_empty() {
                        // SAFETY: the scratch buffer holds the strip; points and columns are this task's alone.
                        unsafe { self.multiply(task / 2, count, part, 0, strip, (v.get(), y.get())) };
                    }
                });
                for_each(count.div_ceil(PER_TASK), |task| {
                    each(task).for_each(|k| {
                        output(from + k, y.get().wrapping_add(k * strip.y_row), 0..columns);
                    });
                    fence();
                });
            }
        });
    }

    /// One point's product for some panels; Y begins with the columns of panel `first`.
    ///
    /// # Safety
    /// `v` and `y` begin the strip's planes, `y` has columns for the panels from `first` on, and nobody else has the point's columns of them.
    unsafe fn multiply(
        &self,
        point: usize,
        tiles: usize,
        panels: Range<usize>,
        first: usize,
        strip: &Strip<'_>,
        (v, y): (*mut f32, *mut f32),
    ) {
        let filters = strip.filters;
        let row = |point: usize| point * self.apart();
        // `block` counts A's columns as B's rows.
        let a = |point: usize| v.wrapping_add(point * strip.v_plane).wrapping_sub(row(point)).cast_const();
        let c = |point: usize| y.wrapping_add(point * strip.y_plane).wrapping_sub(first * filters.width());
        let next = point + 1;
        let after = match next < strip.points {
            true => After { a: a(next).wrapping_add(row(next)), b: filters.row(panels.start, row(next)), c: c(next) },
            false => After::UNKNOWN,
        };
        let k = (row(point), row(point) + self.input);
        // SAFETY: the caller's buffers hold the strip, a point's filters are rows `k` of the panels, and no bias is read.
        unsafe {
            block(tiles, k, panels, (a(point), strip.v_row), filters, after, (c(point), strip.y_row), Epilogue::PLAIN)
        }
    }

    /// # Safety
    /// `x` has the filters' channels, and `v` is good for as many values, up to the next multiple of 16, in each plane.
    unsafe fn transform_input(&self, x: &FeatureMap, grid: &Grid, tile: usize, v: *mut f32, plane: usize) {
        const MOST: usize = Size::Six.points();
        let ((image, top, left), side) = (grid.at(tile), grid.size.side());
        let mut pixels = [self.zeros.as_ptr(); MOST];
        for (i, pixels) in pixels.chunks_exact_mut(side).take(side).enumerate() {
            let y = (top + i).wrapping_sub(1);
            for (j, pixel) in pixels.iter_mut().enumerate() {
                let column = (left + j).wrapping_sub(1);
                if y < grid.height && column < grid.width {
                    *pixel =
                        x.data()[((image * grid.height + y) * grid.width + column) * x.stride..][..x.stride].as_ptr();
                }
            }
        }
        // SAFETY: each pointer is good for a pixel, the caller vouches for `v`, and `Conv::new` asserts that the instruction set is there.
        unsafe { transform::input(self.isa, grid.size, &pixels, self.input, v, plane) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::map::Workspace;
    use super::*;

    /// Tiles of either size give the same, of maps of any size; those of four are compared with plain loops in tests/kernels.
    #[test]
    fn sizes_agree() {
        let (pool, mut seed) = (Workspace::without_arena(), 1u64);
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize
        };
        for round in 0..1000 {
            let isa = Isa::available()[round % Isa::available().len()];
            let most = if round % 20 == 0 { 90 } else { 20 };
            let (count, height, width) = (1 + next() % 2, 1 + next() % most, 1 + next() % most);
            let (input, output) = (1 + next() % 70, 1 + next() % 140);
            let mut value = || next() as f32 / (1u64 << 30) as f32 - 1.0;
            let weight: Vec<f32> = (0..output * input * 9).map(|_| value()).collect();
            let bias: Vec<f32> = (0..output).map(|_| value()).collect();
            let (mut x, mut out) = (pool.map(count, height, width, input), pool.map(count, height, width, output));
            for map in [&mut x, &mut out] {
                map.data_mut().iter_mut().for_each(|v| *v = value());
            }
            let (relu, add, keep) = (next() % 2 == 0, next() % 2 == 0, next() % 2 == 0);
            let winograd = Winograd::new(isa, keep, input, output, &weight);
            let bias = Buffer::of_channels(output, &bias);
            let [four, six] = [Size::Four, Size::Six].map(|size| {
                let mut out = out.duplicate();
                let tail = Epilogue::of(&out, &bias, add, relu);
                winograd.run_on(&Grid::new(size, &x), &x, &mut out, tail);
                out
            });
            let off = four.data().iter().zip(six.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let scale = ((input * 9) as f32).sqrt() + 1.0;
            assert!(off < 1e-4 * scale, "{} {x:?} to {output}: {off} of {scale}", isa.name());
        }
    }
}
