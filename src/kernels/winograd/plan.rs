//! How the tiles of a map are cut, and where what is transformed lies meanwhile.

use super::matrices::Size;
use crate::kernels::buffer::{Buffer, channel_stride};
use crate::kernels::map::FeatureMap;
use crate::kernels::packed::Panels;
use crate::kernels::parallel::threads;
use crate::kernels::simd::{Isa, MR};

/// Values between the planes of a scratch buffer, beyond their length: else all stores of a transform would meet in one set of the cache.
const SKEW: usize = 80;
/// Filters cost a layer as much to transform, and to read from far away, as the product of so many tiles.
const FILTERS: usize = 40;

/// Where a map's tiles are.
pub(super) struct Grid {
    pub size: Size,
    pub height: usize,
    pub width: usize,
    across: usize,
    per_image: usize,
    pub tiles: usize,
}

impl Grid {
    pub fn new(size: Size, map: &FeatureMap) -> Self {
        let &FeatureMap { count, height, width, .. } = map;
        let across = width.div_ceil(size.out());
        let per_image = height.div_ceil(size.out()) * across;
        Self { size, height, width, across, per_image, tiles: count * per_image }
    }

    /// The fastest. Wide vectors multiply so fast that fewer multiplications would not pay for larger filters.
    pub fn best(isa: Isa, map: &FeatureMap) -> Self {
        let [four, six] = [Size::Four, Size::Six].map(|size| Self::new(size, map));
        let cost = |grid: &Self| grid.size.points() * (grid.tiles + FILTERS);
        if isa.is_wide() || cost(&four) <= cost(&six) { four } else { six }
    }

    /// Image, row and column of a tile, the latter two in pixels.
    pub fn at(&self, tile: usize) -> (usize, usize, usize) {
        let (image, tile) = (tile / self.per_image, tile % self.per_image);
        (image, tile / self.across * self.size.out(), tile % self.across * self.size.out())
    }
}

/// How much is done at a time.
pub(super) struct Plan {
    pub tiles: usize,
    /// Panels of filters per pass over the transformed tiles.
    pub panels: usize,
    /// Few tiles: all threads do one phase after the other.
    pub together: bool,
}

impl Plan {
    pub fn new(isa: Isa, grid: &Grid, input: usize, output: usize) -> Self {
        let (tiles, width) = (grid.tiles, isa.nr());
        let panels = channel_stride(output).div_ceil(width);
        if tiles < 24 * 5 * threads() {
            return Self { tiles: tiles.min(512), panels, together: true };
        }
        // Transformed input and product of a strip stay in a second level cache of 1.5 MB or more; while there are as many tiles as it takes to fetch
        // the next point's.
        let panels = panels.min((256 / width).max(1));
        let per_tile = grid.size.points() * (channel_stride(input) + panels * width) * size_of::<f32>();
        let least = if isa.is_wide() { 24 } else { 36 };
        Self { tiles: ((3 << 19) / per_tile).clamp(least, 96) / MR * MR, panels, together: false }
    }
}

/// The filters, and the scratch buffer: V, then Y, each in a plane of rows for each point, a row for each tile.
pub(super) struct Strip<'a> {
    pub points: usize,
    pub filters: Panels<'a>,
    pub v_row: usize,
    pub y_row: usize,
    pub v_plane: usize,
    pub y_plane: usize,
}

impl<'a> Strip<'a> {
    pub fn new(size: Size, filters: Panels<'a>, input: usize, plan: &Plan) -> Self {
        let v_row = channel_stride(input);
        let y_row = plan.panels * filters.width();
        let (v_plane, y_plane) = (plan.tiles * v_row + SKEW, plan.tiles * y_row + SKEW);
        Self { points: size.points(), filters, v_row, y_row, v_plane, y_plane }
    }

    pub fn len(&self) -> usize {
        self.points * (self.v_plane + self.y_plane)
    }

    pub fn of(&self, scratch: &mut Buffer) -> (*mut f32, *mut f32) {
        let v = scratch.as_mut_ptr();
        (v, v.wrapping_add(self.points * self.v_plane))
    }
}
