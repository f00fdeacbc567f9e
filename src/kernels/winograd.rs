//! 3 × 3 convolutions at stride 1 by Winograd's F(4 × 4, 3 × 3): a quarter of the multiplications.
//!
//! An output tile of 4 × 4 pixels comes from 6 × 6 input pixels. These are transformed (Bᵀ d B), multiplied by the filters, which were
//! transformed (G g Gᵀ) when they were loaded, as 36 matrix products over tiles and channels, and transformed back (Aᵀ y A). Points 0, ±1,
//! ±2, ∞; after Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks". The error is about 1.5e-5 of the largest value.

use std::cell::RefCell;
use std::ops::Range;
use std::ptr::null;

use super::gemm::{Packed, ROWS, Tail, block};
use super::map::{Buffer, Map, channel_stride};
use super::parallel::{Shared, for_each, threads};
#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::simd::{Isa, Portable, Simd};

/// Output pixels of a tile's side, and input pixels.
const OUT: usize = 4;
const IN: usize = 6;
const POINTS: usize = IN * IN;
/// Values between the planes of a scratch buffer, beyond their length: else all 36 stores of a transform would meet in one set of the cache.
const SKEW: usize = 80;
/// Larger results go past the caches.
const LARGE: usize = 16 << 20;

pub(super) struct Winograd {
    isa: Isa,
    input: usize,
    /// One matrix [input, output] for each point.
    filters: Vec<Packed>,
    zeros: Buffer,
}

thread_local! {
    /// Transformed tiles and their products; all layers share it.
    static SCRATCH: RefCell<Buffer> = RefCell::new(Buffer::zeroed(0));
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
    /// `weight` is [output, input, 3, 3].
    pub fn new(isa: Isa, input: usize, output: usize, weight: &[f32]) -> Self {
        let (s, q, e) = (1.0 / 6.0, 1.0 / 12.0, 1.0 / 24.0);
        let g: [[f64; 3]; IN] = [[0.25, 0., 0.], [-s, -s, -s], [-s, s, -s], [e, q, s], [e, -q, s], [0., 0., 1.]];
        let filter = |point: usize, c: usize, o: usize| {
            let (i, j) = (point / IN, point % IN);
            let w = &weight[(o * input + c) * 9..][..9];
            let value = |y: usize, x: usize| g[i][y] * f64::from(w[y * 3 + x]) * g[j][x];
            (0..9).map(|k| value(k / 3, k % 3)).sum::<f64>() as f32
        };
        let filters = (0..POINTS).map(|point| Packed::new(isa, input, output, |c, o| filter(point, c, o))).collect();
        Self { isa, input, filters, zeros: Buffer::of_channels(input, &[]) }
    }

    fn plan(&self, tiles: usize) -> Plan {
        let panels = self.filters[0].panels();
        if tiles < 24 * 5 * threads() {
            return Plan { tiles: tiles.min(512), panels, together: true };
        }
        // Transformed input and product of a strip stay in a second level cache of 1.5 MB or more.
        let width = self.filters[0].width();
        let panels = panels.min((256 / width).max(1));
        let per_tile = POINTS * (channel_stride(self.input) + panels * width) * size_of::<f32>();
        Plan { tiles: ((3 << 19) / per_tile).clamp(24, 96) / ROWS * ROWS, panels, together: false }
    }

    /// `tail` holds for the result; both maps have the same size.
    pub fn run(&self, x: &Map, out: &mut Map, tail: Tail) {
        let (height, width) = (x.height, x.width);
        let across = width.div_ceil(OUT);
        let grid = Grid { height, width, across, per_image: height.div_ceil(OUT) * across };
        let tiles = x.count * grid.per_image;
        let plan = self.plan(tiles);
        let strip = Strip::new(self, &plan);
        let (ldc, stream) = (out.stride, !tail.add && size_of_val(out.data()) > LARGE);
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
                let to = Target { out, ldc, stream, grid };
                self.transform_output(y, strip.y_plane, columns, to, (row, column), tail);
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
        strip: &Strip,
        input: impl Fn(usize, *mut f32) + Sync,
        output: impl Fn(usize, *const f32, Range<usize>) + Sync,
    ) {
        let (all, width) = (self.filters[0].panels(), self.filters[0].width());
        for_each(tiles.div_ceil(plan.tiles), |task| {
            let mut scratch = SCRATCH.take();
            let (v, y) = strip.of(&mut scratch);
            let (from, to) = (task * plan.tiles, ((task + 1) * plan.tiles).min(tiles));
            for tile in from..to {
                input(tile, v.wrapping_add((tile - from) * strip.v_row));
            }
            for panel in (0..all).step_by(plan.panels) {
                let panels = panel..(panel + plan.panels).min(all);
                for point in 0..POINTS {
                    // SAFETY: the scratch buffer holds the strip.
                    unsafe { self.multiply(point, to - from, panels.clone(), panel, strip, (v, y)) };
                }
                let columns = panel * width..(panels.end * width).min(self.filters[0].n);
                for tile in from..to {
                    output(tile, y.wrapping_add((tile - from) * strip.y_row), columns.clone());
                }
            }
            SCRATCH.set(scratch);
            // What went past the caches is to be seen by whoever comes after this task.
            #[cfg(target_arch = "x86_64")]
            // SAFETY: of every x86-64 processor.
            unsafe {
                std::arch::x86_64::_mm_sfence();
            }
        });
    }

    /// Where the filters outweigh the tiles they are read once, by all threads together.
    fn run_together(
        &self,
        tiles: usize,
        plan: &Plan,
        strip: &Strip,
        input: impl Fn(usize, *mut f32) + Sync,
        output: impl Fn(usize, *const f32, Range<usize>) + Sync,
    ) {
        const PER_TASK: usize = 4;
        let (panels, columns) = (self.filters[0].panels(), self.filters[0].n);
        let mut scratch = SCRATCH.take();
        strip.of(&mut scratch);
        let v = Shared::new(&mut scratch);
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
            });
        }
        SCRATCH.set(scratch);
    }

    /// One point's product for some panels; Y begins with the columns of panel `first`.
    unsafe fn multiply(
        &self,
        point: usize,
        tiles: usize,
        panels: Range<usize>,
        first: usize,
        strip: &Strip,
        (v, y): (*mut f32, *mut f32),
    ) {
        let filters = &self.filters[point];
        let after = self.filters.get(point + 1).map_or(null(), |f| f.row(panels.start, 0));
        let c = y.wrapping_add(point * strip.y_plane).wrapping_sub(first * filters.width());
        let a = v.wrapping_add(point * strip.v_plane).cast_const();
        // SAFETY: the caller's scratch buffer holds the strip.
        unsafe {
            block(tiles, (0, self.input), panels, (a, strip.v_row), filters, after, (c, strip.y_row), Tail::PLAIN);
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
        unsafe {
            match self.isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => input_avx512(&pointers, self.input, v, plane),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => input_avx2(&pointers, self.input, v, plane),
                _ => input_body::<Portable>(&pointers, self.input, v, plane),
            }
        }
    }

    unsafe fn transform_output(
        &self,
        y: *const f32,
        plane: usize,
        columns: Range<usize>,
        to: Target,
        at: (usize, usize),
        tail: Tail,
    ) {
        // SAFETY: as the caller says.
        unsafe {
            match self.isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => output_avx512(y, plane, columns, to, at, tail),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => output_avx2(y, plane, columns, to, at, tail),
                _ => output_body::<Portable>(y, plane, columns, to, at, tail),
            }
        }
    }
}

/// The scratch buffer: V, then Y, each in 36 planes of rows, one a tile.
struct Strip {
    v_row: usize,
    y_row: usize,
    v_plane: usize,
    y_plane: usize,
}

impl Strip {
    fn new(winograd: &Winograd, plan: &Plan) -> Self {
        let v_row = channel_stride(winograd.input);
        let y_row = plan.panels * winograd.filters[0].width();
        Self { v_row, y_row, v_plane: plan.tiles * v_row + SKEW, y_plane: plan.tiles * y_row + SKEW }
    }

    fn of(&self, scratch: &mut Buffer) -> (*mut f32, *mut f32) {
        let need = POINTS * (self.v_plane + self.y_plane);
        if scratch.len() < need {
            *scratch = Buffer::zeroed(need);
        }
        let v = scratch.as_mut_ptr();
        (v, v.wrapping_add(POINTS * self.v_plane))
    }
}

/// Where an output tile goes.
#[derive(Clone, Copy)]
struct Target {
    /// The image.
    out: *mut f32,
    ldc: usize,
    stream: bool,
    grid: Grid,
}

#[inline(always)]
unsafe fn transform_rows<S: Simd>(d: [S::V; IN]) -> [S::V; IN] {
    // SAFETY: the caller has the instruction set.
    unsafe {
        let scaled = |k: f32, a: S::V, b: S::V| S::mul_add(S::splat(k), a, b);
        let a = scaled(-4.0, d[2], d[4]);
        let b = scaled(-4.0, d[1], d[3]);
        let c = S::sub(d[4], d[2]);
        let e = S::sub(d[3], d[1]);
        [
            scaled(4.0, d[0], scaled(-5.0, d[2], d[4])),
            S::add(a, b),
            S::sub(a, b),
            scaled(2.0, e, c),
            scaled(-2.0, e, c),
            scaled(4.0, d[1], scaled(-5.0, d[3], d[5])),
        ]
    }
}

#[inline(always)]
unsafe fn transform_back<S: Simd>(y: [S::V; IN]) -> [S::V; OUT] {
    // SAFETY: the caller has the instruction set.
    unsafe {
        let scaled = |k: f32, a: S::V, b: S::V| S::mul_add(S::splat(k), a, b);
        let (p, q) = (S::add(y[1], y[2]), S::sub(y[1], y[2]));
        let (r, s) = (S::add(y[3], y[4]), S::sub(y[3], y[4]));
        [S::add(y[0], S::add(p, r)), scaled(2.0, s, q), scaled(4.0, r, p), S::add(y[5], scaled(8.0, s, q))]
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "loops over indices are unrolled, and their values stay in registers")]
unsafe fn input_body<S: Simd>(pointers: &[[*const f32; IN]; IN], channels: usize, v: *mut f32, plane: usize) {
    // SAFETY: as `Winograd::transform_input` says.
    unsafe {
        for c in (0..channels).step_by(S::LANES) {
            let mut half = [[S::splat(0.0); IN]; IN];
            for j in 0..IN {
                let column = transform_rows::<S>(std::array::from_fn(|i| S::load(pointers[i][j].add(c))));
                for i in 0..IN {
                    half[i][j] = column[i];
                }
            }
            for i in 0..IN {
                let row = transform_rows::<S>(half[i]);
                for j in 0..IN {
                    S::store(v.add((i * IN + j) * plane + c), row[j]);
                }
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "as above")]
unsafe fn output_body<S: Simd>(
    y: *const f32,
    plane: usize,
    columns: Range<usize>,
    to: Target,
    (row, column): (usize, usize),
    tail: Tail,
) {
    // SAFETY: as `Winograd::run` says.
    unsafe {
        let (high, wide) = (OUT.min(to.grid.height - row), OUT.min(to.grid.width - column));
        for c in columns.clone().step_by(S::LANES) {
            let mut half = [[S::splat(0.0); IN]; OUT];
            for j in 0..IN {
                let from = |i: usize| S::load(y.add((i * IN + j) * plane + c - columns.start));
                let values = transform_back::<S>(std::array::from_fn(from));
                for i in 0..OUT {
                    half[i][j] = values[i];
                }
            }
            let bias = S::load(tail.bias.add(c));
            for i in 0..OUT {
                if i >= high {
                    break;
                }
                let values = transform_back::<S>(half[i]);
                for j in 0..OUT {
                    if j >= wide {
                        break;
                    }
                    let at = to.out.add(((row + i) * to.grid.width + column + j) * to.ldc + c);
                    let mut value = S::add(values[j], bias);
                    if tail.add {
                        value = S::add(value, S::load(at));
                    }
                    if tail.relu {
                        value = S::max(value, S::splat(0.0));
                    }
                    if to.stream {
                        S::stream(at, value);
                    } else {
                        S::store(at, value);
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn input_avx512(pointers: &[[*const f32; IN]; IN], channels: usize, v: *mut f32, plane: usize) {
    // SAFETY: as the callers say, here and below.
    unsafe { input_body::<Avx512>(pointers, channels, v, plane) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn input_avx2(pointers: &[[*const f32; IN]; IN], channels: usize, v: *mut f32, plane: usize) {
    unsafe { input_body::<Avx2>(pointers, channels, v, plane) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn output_avx512(
    y: *const f32,
    plane: usize,
    columns: Range<usize>,
    to: Target,
    at: (usize, usize),
    tail: Tail,
) {
    unsafe { output_body::<Avx512>(y, plane, columns, to, at, tail) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn output_avx2(y: *const f32, plane: usize, columns: Range<usize>, to: Target, at: (usize, usize), tail: Tail) {
    unsafe { output_body::<Avx2>(y, plane, columns, to, at, tail) }
}
