//! RoIAlign with half-pixel alignment (Detectron2's ROIAlignV2; torchvision's `roi_align` with `aligned=True`).

use rayon::prelude::*;

use super::dispatch::for_vectors;
use super::map::FeatureMap;
use super::simd::{Isa, Simd};

/// Pools `rois` from a feature map [H, W, C] into [N, R, R, C].
pub struct RoiAlign {
    /// `[x0, y0, x1, y1]` in pixels of the network's input.
    pub rois: Vec<[f32; 4]>,
    /// Feature pixels per input pixel: 1 / stride.
    pub scale: f32,
    /// R, the output's side in cells.
    pub resolution: usize,
    /// Samples per cell and axis; 0 means `ceil(roi side / R)`.
    pub sampling_ratio: usize,
}

/// Pools `rois[i]` from a feature map [H, W, C] in memory into item `rows[i]` of `out`, [N, R, R, C].
///
/// # Panics
/// If the map is not of that shape, or there are fewer items than rows.
pub fn roi_align_rows(
    isa: Isa,
    data: &[f32],
    [height, width, channels]: [usize; 3],
    op: &RoiAlign,
    rows: &[usize],
    out: &mut [f32],
) {
    assert_eq!(data.len(), height * width * channels);
    op.pool_all(isa.assert_available(), &Feature { data, height, width, channels }, rows, out);
}

/// Pools `rois[i]` from a map of one image into image `rows[i]` of `out`, which is R × R.
///
/// # Panics
/// If the maps' channels differ, or there are fewer images than rows.
pub fn roi_align(isa: Isa, feature: &FeatureMap, op: &RoiAlign, rows: &[usize], out: &mut FeatureMap) {
    assert!(feature.stride == out.stride && (out.height, out.width) == (op.resolution, op.resolution));
    let shape = [feature.height, feature.width, feature.stride];
    roi_align_rows(isa, &feature.data()[..shape.iter().product()], shape, op, rows, out.data_mut());
}

struct Feature<'a> {
    data: &'a [f32],
    height: usize,
    width: usize,
    channels: usize,
}

/// For each cell of an axis the pixels that its samples fall between, each once, and their weights.
struct Axis {
    pixels: Vec<(usize, f32)>,
    /// Where a cell's pixels end, of which there are one more than cells.
    ends: Vec<usize>,
}

impl Axis {
    /// `grid` samples in each of `cells` cells from `start` to `end`; a cell's weights are 1 together, without those outside.
    fn new((start, end): (f32, f32), cells: usize, grid: usize, limit: usize) -> Self {
        let (bin, weight) = ((end - start) / cells as f32, 1.0 / grid.max(1) as f32);
        let mut axis = Self { pixels: Vec::with_capacity(cells * (grid + 1)), ends: vec![0] };
        for cell in 0..cells {
            for sample in 0..grid {
                let at = start + cell as f32 * bin + (sample as f32 + 0.5) * bin / grid as f32;
                if let Some(tap) = tap(at, limit) {
                    axis.add(tap.low, weight * (1.0 - tap.weight));
                    axis.add(tap.high, weight * tap.weight);
                }
            }
            axis.ends.push(axis.pixels.len());
        }
        axis
    }

    /// Samples are in order, so a pixel that this cell has already is one of its last two.
    fn add(&mut self, pixel: usize, weight: f32) {
        let begin = self.ends.last().map_or(0, |&end| end.max(self.pixels.len().saturating_sub(2)));
        match self.pixels[begin..].iter_mut().find(|(other, _)| *other == pixel) {
            Some((_, sum)) => *sum += weight,
            None => self.pixels.push((pixel, weight)),
        }
    }

    fn cell(&self, cell: usize) -> &[(usize, f32)] {
        &self.pixels[self.ends[cell]..self.ends[cell + 1]]
    }
}

impl RoiAlign {
    fn pool_all(&self, isa: Isa, feature: &Feature<'_>, rows: &[usize], out: &mut [f32]) {
        let per_roi = (self.resolution * self.resolution * feature.channels).max(1);
        let mut items: Vec<Option<&mut [f32]>> = out.chunks_exact_mut(per_roi).map(Some).collect();
        let pairs: Vec<_> =
            rows.iter().zip(&self.rois).filter_map(|(&row, roi)| Some((items[row].take()?, roi))).collect();
        pairs.into_par_iter().for_each(|(out, roi)| self.pool(isa, feature, roi, out));
    }

    /// The samples of a cell lie on a grid, so what they take of a pixel is the product of what its row and its column get.
    fn pool(&self, isa: Isa, feature: &Feature, roi: &[f32; 4], out: &mut [f32]) {
        let r = self.resolution;
        let [x0, y0, x1, y1] = roi.map(|v| v * self.scale - 0.5);
        let samples = |side: f32| match self.sampling_ratio {
            0 => (side / r as f32).ceil().max(0.0) as usize,
            n => n,
        };
        let rows = Axis::new((y0, y1), r, samples(y1 - y0), feature.height);
        let columns = Axis::new((x0, x1), r, samples(x1 - x0), feature.width);
        let mut pixels = vec![];
        for (cell, out) in out.chunks_exact_mut(feature.channels).enumerate() {
            pixels.clear();
            for &(y, of_row) in rows.cell(cell / r) {
                let start = y * feature.width;
                let pixel = |&(x, of_column): &(usize, f32)| ((start + x) * feature.channels, of_row * of_column);
                pixels.extend(columns.cell(cell % r).iter().map(pixel));
            }
            weigh(isa, feature.data, &pixels, out);
        }
    }
}

/// The sum of pixels, which begin at these places, by their weights.
fn weigh(isa: Isa, data: &[f32], pixels: &[(usize, f32)], out: &mut [f32]) {
    let furthest = pixels.iter().map(|&(at, _)| at).max().unwrap_or_default();
    assert!(data.len() >= out.len() && furthest <= data.len() - out.len());
    // SAFETY: each pixel has as many values as `out`, and `isa` is the processor's best or one that `roi_align` has asserted.
    unsafe { for_vectors!(isa, weigh_body(data: &[f32], pixels: &[(usize, f32)], out: &mut [f32])) }
}

/// # Safety
/// The processor has `S`; pixels have as many values as `out`.
#[inline(always)]
unsafe fn weigh_body<S: Simd>(data: &[f32], pixels: &[(usize, f32)], out: &mut [f32]) {
    // SAFETY: the vectors lie within `out`, and so within each pixel.
    unsafe {
        let mut c = 0;
        while c + 4 * S::LANES <= out.len() {
            weigh_vectors::<S, 4>(data.as_ptr().add(c), pixels, out.as_mut_ptr().add(c));
            c += 4 * S::LANES;
        }
        while c + S::LANES <= out.len() {
            weigh_vectors::<S, 1>(data.as_ptr().add(c), pixels, out.as_mut_ptr().add(c));
            c += S::LANES;
        }
        for (c, out) in out.iter_mut().enumerate().skip(c) {
            *out = pixels.iter().map(|&(at, weight)| weight * data[at + c]).sum();
        }
    }
}

/// # Safety
/// The processor has `S`; each pixel from `data` on, and `out`, are good for `N` vectors.
#[inline(always)]
unsafe fn weigh_vectors<S: Simd, const N: usize>(data: *const f32, pixels: &[(usize, f32)], out: *mut f32) {
    // SAFETY: the caller vouches for `N` vectors of each pixel and of `out`.
    unsafe {
        let mut sums = [S::splat(0.0); N];
        for &(at, weight) in pixels {
            let weight = S::splat(weight);
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = S::mul_add(weight, S::load(data.add(at + v * S::LANES)), *sum);
            }
        }
        for (v, sum) in sums.into_iter().enumerate() {
            S::store(out.add(v * S::LANES), sum);
        }
    }
}

/// The two neighbours of a sample on one axis and the weight of the second.
struct Tap {
    low: usize,
    high: usize,
    weight: f32,
}

/// Where a sample at `v` falls among `limit` pixels; `None` if it is more than a pixel outside.
fn tap(v: f32, limit: usize) -> Option<Tap> {
    if !(-1.0..=limit as f32).contains(&v) {
        return None;
    }
    let v = v.max(0.0);
    let low = v as usize;
    if low >= limit - 1 {
        return Some(Tap { low: limit - 1, high: limit - 1, weight: 0.0 });
    }
    Some(Tap { low, high: low + 1, weight: v - low as f32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooled(data: &[f32], shape: [usize; 3], op: &RoiAlign) -> Vec<f32> {
        let mut out = vec![0.0; op.rois.len() * op.resolution * op.resolution * shape[2]];
        let rows: Vec<usize> = (0..op.rois.len()).collect();
        roi_align_rows(Isa::best(), data, shape, op, &rows, &mut out);
        out
    }

    /// On a plane `3x + 5y` bilinear sampling is exact, so a cell holds the plane's value at the cell's centre.
    #[test]
    fn samples_a_plane_exactly() {
        let (h, w) = (20, 30);
        let plane: Vec<f32> = (0..h * w).map(|i| 3.0 * (i % w) as f32 + 5.0 * (i / w) as f32).collect();
        for sampling_ratio in [0, 2] {
            let roi = [18.0, 22.0, 74.0, 60.0];
            let op = RoiAlign { rois: vec![roi], scale: 0.25, resolution: 7, sampling_ratio };
            for (cell, got) in pooled(&plane, [h, w, 1], &op).iter().enumerate() {
                let (row, column) = ((cell / 7) as f32, (cell % 7) as f32);
                let x = roi[0] * 0.25 - 0.5 + (roi[2] - roi[0]) * 0.25 * (column + 0.5) / 7.0;
                let y = roi[1] * 0.25 - 0.5 + (roi[3] - roi[1]) * 0.25 * (row + 0.5) / 7.0;
                assert!((got - (3.0 * x + 5.0 * y)).abs() < 1e-3, "cell {cell}: {got}");
            }
        }
    }

    #[test]
    fn outside_is_zero_and_empty_is_no_panic() {
        let rois = vec![[400.0, 400.0, 440.0, 440.0], [8.0, 8.0, 8.0, 8.0], [f32::NAN; 4]];
        let op = RoiAlign { rois, scale: 0.25, resolution: 2, sampling_ratio: 0 };
        let out = pooled(&[1.0; 32], [4, 4, 2], &op);
        assert_eq!((out.len(), out.iter().sum::<f32>()), (24, 0.0));
    }
}
