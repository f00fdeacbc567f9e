//! How a convolution is cut into strips.

use super::split::pitch;
use super::tile::{Bf16Layout, SIDE};
use crate::kernels::map::FeatureMap;
use crate::kernels::parallel::threads;

/// Steps of a fully connected layer whose values are split at a time.
const PART: usize = 32;
/// Bytes of filters that stay in a second level cache while strips pass by, and what fits into it in all.
const NEAR: usize = 1 << 20;
const CACHE: usize = 3 << 19;

/// A convolution as the kernel sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub form: Bf16Layout,
    pub kernel: usize,
    pub stride: usize,
    /// Steps of input channels.
    pub blocks: usize,
    pub panels: usize,
    /// Whether the input is split already, or the result will be.
    pub given: bool,
    pub handed_on: bool,
}

impl Shape {
    /// For these maps.
    pub fn of(self, x: &FeatureMap, out: &FeatureMap) -> Self {
        assert!([x.form, out.form].into_iter().flatten().all(|form| form == self.form), "another form");
        Self { given: x.form.is_some(), handed_on: out.form.is_some(), ..self }
    }

    /// Whether tiles read the input where it is.
    pub fn is_direct(&self) -> bool {
        self.is_pointwise() && self.given
    }

    pub fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1
    }

    /// Planes of the scratch buffer.
    pub fn planes(&self) -> usize {
        if self.kernel == 1 { 1 } else { self.stride * self.stride }
    }

    /// Pixels of a plane that a strip needs beyond those it has, in a row or column.
    fn halo(&self) -> usize {
        (self.kernel - 1) / self.stride
    }

    /// Whether all filters stay in the cache beside a strip.
    pub fn is_near(&self) -> bool {
        self.filters() <= NEAR
    }

    /// Bytes of the filters for what is split at a time.
    fn filters(&self) -> usize {
        self.part() * self.kernel * self.kernel * self.panels * self.form.b_step() * size_of::<u16>()
    }

    /// Blocks that are split at a time. Sums are not handed on before all are there.
    pub fn part(&self) -> usize {
        if self.is_pointwise() && !self.given && !self.handed_on { self.blocks.min(PART) } else { self.blocks }
    }
}

/// Strips of rows, and of columns where rows are long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub shape: Shape,
    pub images: usize,
    /// Of the input, as the strips see it.
    pub size: (usize, usize),
    /// Of the result.
    pub height: usize,
    pub width: usize,
    /// Of a strip of the result.
    pub rows: usize,
    pub columns: usize,
    /// Pixels from one row to the next in a plane of the scratch buffer, and its rows.
    pub across: usize,
    pub plane_rows: usize,
    pub pitch: usize,
}

impl Plan {
    /// The cheapest of some.
    pub fn new(shape: Shape, x: &FeatureMap, out: &FeatureMap) -> Self {
        let whole = Self::of(shape, x, out, 1, 1);
        let most = if shape.is_pointwise() { whole.height.div_ceil(SIDE) } else { whole.height };
        let strips = std::iter::successors(Some(1), |n| Some(n + (n / 8).max(1))).take_while(|n| *n <= most);
        let all = strips.flat_map(|strips| [1, 2, 4].map(|parts| Self::of(shape, x, out, strips, parts)));
        all.min_by_key(Self::cost).unwrap_or(whole)
    }

    /// About so many strips of rows, each in so many parts of columns.
    pub fn of(shape: Shape, x: &FeatureMap, out: &FeatureMap, strips: usize, parts: usize) -> Self {
        let (images, size, height, width) = match shape.is_pointwise() {
            true => (1, (x.pixels(), 1), out.pixels(), 1),
            false => (x.count, (x.height, x.width), out.height, out.width),
        };
        let rows = height.div_ceil(strips).max(1);
        let rows = if shape.is_pointwise() { rows.next_multiple_of(SIDE) } else { rows };
        let columns = width.div_ceil(parts).max(1);
        // With whole rows, the zero right of a row is also the one left of the next.
        let beside = if columns >= width { shape.halo().min(1) } else { shape.halo() };
        let pitch = if shape.is_direct() { x.stride * size_of::<f32>() } else { pitch(shape.form, shape.part()) };
        let plane_rows = rows + shape.halo();
        Self { shape, images, size, height, width, rows, columns, across: columns + beside, plane_rows, pitch }
    }

    pub fn strips(&self) -> usize {
        self.height.div_ceil(self.rows) * self.width.div_ceil(self.columns)
    }

    /// First row and column of a strip.
    pub fn strip(&self, strip: usize) -> (usize, usize) {
        let across = self.width.div_ceil(self.columns);
        (strip / across * self.rows, strip % across * self.columns)
    }

    /// Bytes from one plane to the next.
    pub fn plane(&self) -> usize {
        self.plane_rows * self.across * self.pitch
    }

    /// Bytes of the scratch buffer for the input: the planes, and what tiles may read behind them.
    pub fn input(&self) -> usize {
        if self.shape.is_direct() { 0 } else { self.shape.planes() * self.plane() + (SIDE + 2) * self.pitch }
    }

    /// Bytes from one pixel's sums to the next's: those of all panels, if they all are near, or of one.
    pub fn sums(&self) -> usize {
        const PANEL: usize = SIDE * size_of::<f32>();
        if self.shape.is_near() { self.shape.panels * PANEL + 64 } else { PANEL }
    }

    /// Cycles, roughly, as seen on a Granite Rapids: what the multiplications take, the input's splitting, and filters or input that come from
    /// beyond the cache.
    fn cost(&self) -> usize {
        /// Of a tile instruction for each of C's four tiles.
        const PRODUCT_CYCLES: usize = 80;
        const TILE_CYCLES: usize = 400;
        const SPLIT_CYCLES: usize = 20;
        const COPY_CYCLES: usize = 10;
        const FAR_BYTES_PER_CYCLE: usize = 8;
        let shape = &self.shape;
        let steps = shape.part() * shape.kernel * shape.kernel;
        let blocks = ((self.rows - 1) * self.across + self.columns).div_ceil(SIDE);
        let multiply = blocks * shape.panels * (steps * shape.form.products() * PRODUCT_CYCLES + TILE_CYCLES);
        let planes = shape.planes() * self.plane();
        let split = planes / shape.form.a_step()
            * match (shape.given, shape.is_direct()) {
                (_, true) => 0,
                (true, _) => COPY_CYCLES,
                _ => SPLIT_CYCLES,
            };
        let filters = shape.filters();
        let near = if shape.is_near() { NEAR } else { filters / shape.panels.max(1) };
        let far = filters + if planes + near > CACHE { planes * shape.panels } else { 0 };
        let rounds = (self.images * self.strips()).div_ceil(threads());
        rounds * shape.blocks.div_ceil(shape.part()) * (multiply + split + far / FAR_BYTES_PER_CYCLE)
    }
}
