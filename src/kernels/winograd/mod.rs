//! 3 × 3 convolutions at stride 1 by Winograd's F(4 × 4, 3 × 3): a quarter of the multiplications.
//!
//! An output tile of 4 × 4 pixels comes from 6 × 6 input pixels. These are transformed (Bᵀ d B), multiplied by the filters, which
//! are transformed (G g Gᵀ) when they are loaded or at each use, as 36 matrix products over tiles and channels, and transformed back (Aᵀ y A). Points 0, ±1,
//! ±2, ∞; after Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks". The error is about 1.5e-5 of the largest value.

mod transform;

use std::ops::Range;

use super::fetch::After;
use super::gemm::{ROWS, Tail, block};
use super::map::{Buffer, Map, channel_stride, with_scratch};
use super::packed::{Packed, Panels};
use super::parallel::{Shared, for_each, threads};
use super::simd::{Isa, fence};
use transform::Target;

/// Output pixels of a tile's side, and input pixels.
const OUT: usize = 4;
const IN: usize = 6;
const POINTS: usize = IN * IN;
const TAPS: usize = 9;
/// Values between the planes of a scratch buffer, beyond their length: else all 36 stores of a transform would meet in one set of the cache.
const SKEW: usize = 80;

pub(super) struct Winograd {
    isa: Isa,
    input: usize,
    output: usize,
    filters: Filters,
    zeros: Buffer,
}

enum Filters {
    /// As 3 × 3 matrices [input, output], to be transformed when they are needed.
    Plain(Packed),
    /// As 6 × 6 of them, each followed by a row that is not used: else all 36 stores of a transform would meet in one set of the cache.
    Transformed(Buffer),
}

/// How the tiles of a map are cut.
struct Plan {
    /// Tiles at a time.
    tiles: usize,
    /// Panels of filters per pass over the transformed tiles.
    panels: usize,
    /// Few tiles: all threads do one phase after the other.
    together: bool,
}

/// Where a map's tiles are.
#[derive(Clone, Copy)]
struct Grid {
    height: usize,
    width: usize,
    across: usize,
    per_image: usize,
}

impl Grid {
    /// Image, row and column of a tile, the latter two in pixels.
    fn at(&self, tile: usize) -> (usize, usize, usize) {
        let (image, tile) = (tile / self.per_image, tile % self.per_image);
        (image, tile / self.across * OUT, tile % self.across * OUT)
    }
}

impl Winograd {
    /// `weight` is [output, input, 3, 3]; `keep` is as in [`super::Options`].
    pub fn new(isa: Isa, keep: bool, input: usize, output: usize, weight: &[f32]) -> Self {
        let plain = Packed::new(isa, TAPS * input, output, |k, o| weight[(o * input + k % input) * TAPS + k / input]);
        let zeros = Buffer::of_channels(input, &[]);
        let mut winograd = Self { isa, input, output, filters: Filters::Plain(plain), zeros };
        if let Filters::Plain(plain) = &winograd.filters
            && keep
        {
            let mut kept = Buffer::zeroed(winograd.transformed_values());
            winograd.transform_filters(plain, &mut kept);
            winograd.filters = Filters::Transformed(kept);
        }
        winograd
    }

    /// Rows from a point's matrix to the next one's.
    fn apart(&self) -> usize {
        self.input + 1
    }

    fn transformed_values(&self) -> usize {
        Panels::values(self.isa, POINTS * self.apart(), self.output)
    }

    /// Writes G g Gᵀ of plain filters.
    fn transform_filters(&self, plain: &Packed, to: &mut [f32]) {
        let (plain, apart) = (plain.panels(), self.apart() * plain.panels().width());
        assert_eq!(to.len(), self.transformed_values());
        let (count, target) = (self.input * plain.width(), Shared::new(to));
        for_each(plain.count(), |panel| {
            let to = target.at(panel * POINTS * apart).get();
            // SAFETY: a panel of plain filters holds nine matrices, this task's panel of transformed ones room for 36.
            unsafe { transform::filters(self.isa, plain.row(panel, 0), count, to, apart) }
        });
    }

    fn plan(&self, tiles: usize) -> Plan {
        let width = self.isa.tile_width();
        let panels = channel_stride(self.output).div_ceil(width);
        if tiles < 24 * 5 * threads() {
            return Plan { tiles: tiles.min(512), panels, together: true };
        }
        // Transformed input and product of a strip stay in a second level cache of 1.5 MB or more; while there are as many tiles as it takes to fetch
        // the next point's.
        let panels = panels.min((256 / width).max(1));
        let per_tile = POINTS * (channel_stride(self.input) + panels * width) * size_of::<f32>();
        let least = if self.isa.is_wide() { 24 } else { 36 };
        Plan { tiles: ((3 << 19) / per_tile).clamp(least, 96) / ROWS * ROWS, panels, together: false }
    }

    /// `tail` holds for the result; both maps have the same size.
    pub fn run(&self, x: &Map, out: &mut Map, tail: Tail) {
        let (height, width) = (x.height, x.width);
        let across = width.div_ceil(OUT);
        let grid = Grid { height, width, across, per_image: height.div_ceil(OUT) * across };
        let tiles = x.count * grid.per_image;
        let plan = self.plan(tiles);
        let mut space = None;
        let filters = match &self.filters {
            Filters::Transformed(kept) => kept,
            Filters::Plain(plain) => {
                let space = space.insert(x.pool().map(1, 1, 1, self.transformed_values()));
                self.transform_filters(plain, space.data_mut());
                space.data()
            }
        };
        let filters = Panels::new(self.isa, POINTS * self.apart(), self.output, filters);
        let strip = Strip::new(filters, self.input, &plan);
        let ldc = out.stride;
        let target = Shared::new(out.data_mut());
        let input = |tile: usize, v: *mut f32| {
            let (image, row, column) = grid.at(tile);
            let size = height * width * x.stride;
            let source = &x.data()[image * size..][..size];
            // SAFETY: `v` is good for the tile's channels in all planes.
            unsafe { self.transform_input(source, grid, x.stride, (row, column), v, strip.v_plane) }
        };
        let output = |tile: usize, y: *const f32, columns: Range<usize>| {
            let (image, row, column) = grid.at(tile);
            // SAFETY: `y` holds these columns in all planes, and the tile's pixels are this task's alone.
            unsafe {
                let out = target.get().add(image * height * width * ldc);
                let to = Target { out, ldc, height, width };
                transform::output(self.isa, y, strip.y_plane, columns, to, (row, column), tail);
            }
        };
        if plan.together {
            self.run_together(tiles, &plan, &strip, input, output);
        } else {
            self.run_strips(tiles, &plan, &strip, input, output);
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
                    for point in 0..POINTS {
                        // SAFETY: the scratch buffer holds the strip.
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
            let y = v.at(POINTS * strip.v_plane);
            for from in (0..tiles).step_by(plan.tiles) {
                let count = plan.tiles.min(tiles - from);
                let each = |task: usize| task * PER_TASK..((task + 1) * PER_TASK).min(count);
                for_each(count.div_ceil(PER_TASK), |task| {
                    each(task).for_each(|k| input(from + k, v.get().wrapping_add(k * strip.v_row)));
                });
                for_each(POINTS * 2, |task| {
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
        let after = match next < POINTS {
            true => After { a: a(next).wrapping_add(row(next)), b: filters.row(panels.start, row(next)), c: c(next) },
            false => After::UNKNOWN,
        };
        let k = (row(point), row(point) + self.input);
        // SAFETY: the caller's scratch buffer holds the strip.
        unsafe {
            block(tiles, k, panels, (a(point), strip.v_row), filters, after, (c(point), strip.y_row), Tail::PLAIN)
        }
    }

    unsafe fn transform_input(
        &self,
        source: &[f32],
        grid: Grid,
        pixel: usize,
        (row, column): (usize, usize),
        v: *mut f32,
        plane: usize,
    ) {
        let pointers: [[*const f32; IN]; IN] = std::array::from_fn(|i| {
            std::array::from_fn(|j| {
                let (y, x) = ((row + i).wrapping_sub(1), (column + j).wrapping_sub(1));
                match y < grid.height && x < grid.width {
                    true => source[(y * grid.width + x) * pixel..][..pixel].as_ptr(),
                    false => self.zeros.as_ptr(),
                }
            })
        });
        // SAFETY: each pointer is good for a pixel, `v` for as many values in each plane, and the processor has the instruction set.
        unsafe { transform::input(self.isa, &pointers, self.input, v, plane) }
    }
}

/// The filters, and the scratch buffer: V, then Y, each in 36 planes of rows, one a tile.
struct Strip<'a> {
    filters: Panels<'a>,
    v_row: usize,
    y_row: usize,
    v_plane: usize,
    y_plane: usize,
}

impl<'a> Strip<'a> {
    fn new(filters: Panels<'a>, input: usize, plan: &Plan) -> Self {
        let v_row = channel_stride(input);
        let y_row = plan.panels * filters.width();
        Self { filters, v_row, y_row, v_plane: plan.tiles * v_row + SKEW, y_plane: plan.tiles * y_row + SKEW }
    }

    fn len(&self) -> usize {
        POINTS * (self.v_plane + self.y_plane)
    }

    fn of(&self, scratch: &mut Buffer) -> (*mut f32, *mut f32) {
        let v = scratch.as_mut_ptr();
        (v, v.wrapping_add(POINTS * self.v_plane))
    }
}
