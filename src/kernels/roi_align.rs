//! RoIAlign with half-pixel alignment (Detectron2's ROIAlignV2; torchvision's `roi_align` with `aligned=True`).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, WithDType, bail};
use rayon::prelude::*;

use super::map::Map;

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

impl CustomOp1 for RoiAlign {
    fn name(&self) -> &'static str {
        "roi-align"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (height, width, channels) = layout.shape().dims3()?;
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("roi-align needs a contiguous feature map") };
        let data = &f32::cpu_storage_as_slice(storage)?[start..end];
        let feature = Feature { data, height, width, channels };
        let r = self.resolution;
        let mut out = vec![0f32; self.rois.len() * r * r * channels];
        let per_roi = (r * r * channels).max(1);
        out.par_chunks_mut(per_roi).zip(&self.rois).for_each(|(out, roi)| self.pool(&feature, roi, out));
        Ok((CpuStorage::F32(out), (self.rois.len(), r, r, channels).into()))
    }
}

/// Pools `rois[i]` from a map of one image into image `rows[i]` of `out`, which is R × R.
///
/// # Panics
/// If the maps' channels differ, or there are fewer images than rows.
pub fn roi_align(feature: &Map, op: &RoiAlign, rows: &[usize], out: &mut Map) {
    assert!(feature.stride == out.stride && (out.height, out.width) == (op.resolution, op.resolution));
    let of = Feature { data: feature.data(), height: feature.height, width: feature.width, channels: feature.stride };
    let per_roi = (op.resolution * op.resolution * out.stride).max(1);
    let mut images: Vec<Option<&mut [f32]>> = out.data_mut().chunks_exact_mut(per_roi).map(Some).collect();
    let pairs: Vec<_> = rows.iter().zip(&op.rois).filter_map(|(&row, roi)| Some((images[row].take()?, roi))).collect();
    pairs.into_par_iter().for_each(|(out, roi)| {
        out.fill(0.0);
        op.pool(&of, roi, out);
    });
}

struct Feature<'a> {
    data: &'a [f32],
    height: usize,
    width: usize,
    channels: usize,
}

/// The two neighbours of a sample on one axis and the weight of the second.
struct Tap {
    low: usize,
    high: usize,
    weight: f32,
}

impl RoiAlign {
    fn pool(&self, feature: &Feature, roi: &[f32; 4], out: &mut [f32]) {
        let r = self.resolution;
        let [x0, y0, x1, y1] = roi.map(|v| v * self.scale - 0.5);
        let samples = |side: f32| match self.sampling_ratio {
            0 => (side / r as f32).ceil().max(0.0) as usize,
            n => n,
        };
        let (grid_y, grid_x) = (samples(y1 - y0), samples(x1 - x0));
        let taps = |start: f32, side: f32, grid: usize, limit: usize| -> Vec<Option<Tap>> {
            let bin = side / r as f32;
            (0..r * grid)
                .map(|i| {
                    let (cell, sample) = (i / grid, i % grid);
                    tap(start + cell as f32 * bin + (sample as f32 + 0.5) * bin / grid as f32, limit)
                })
                .collect()
        };
        let ys = taps(y0, y1 - y0, grid_y, feature.height);
        let xs = taps(x0, x1 - x0, grid_x, feature.width);
        let count = (grid_y * grid_x).max(1) as f32;
        for (cell, out) in out.chunks_exact_mut(feature.channels).enumerate() {
            let (row, column) = (cell / r, cell % r);
            for y in ys[row * grid_y..][..grid_y].iter().flatten() {
                for x in xs[column * grid_x..][..grid_x].iter().flatten() {
                    feature.add_sample(y, x, out);
                }
            }
            out.iter_mut().for_each(|v| *v /= count);
        }
    }
}

impl Feature<'_> {
    /// Adds the bilinear sample of every channel to `out`.
    fn add_sample(&self, y: &Tap, x: &Tap, out: &mut [f32]) {
        let at = |row: usize, column: usize| &self.data[(row * self.width + column) * self.channels..][..self.channels];
        let (hy, hx) = (1.0 - y.weight, 1.0 - x.weight);
        let weights = [hy * hx, hy * x.weight, y.weight * hx, y.weight * x.weight];
        let corners = [at(y.low, x.low), at(y.low, x.high), at(y.high, x.low), at(y.high, x.high)];
        for (c, out) in out.iter_mut().enumerate() {
            *out += weights[0] * corners[0][c]
                + weights[1] * corners[1][c]
                + weights[2] * corners[2][c]
                + weights[3] * corners[3][c];
        }
    }
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
    use candle_core::{Device, Tensor};

    /// On a plane `3x + 5y` bilinear sampling is exact, so a cell holds the plane's value at the cell's centre.
    #[test]
    fn samples_a_plane_exactly() -> Result<()> {
        let (h, w) = (20, 30);
        let plane: Vec<f32> = (0..h * w).map(|i| 3.0 * (i % w) as f32 + 5.0 * (i / w) as f32).collect();
        let feature = Tensor::from_vec(plane, (h, w, 1), &Device::Cpu)?;
        for sampling_ratio in [0, 2] {
            let roi = [18.0, 22.0, 74.0, 60.0];
            let op = RoiAlign { rois: vec![roi], scale: 0.25, resolution: 7, sampling_ratio };
            let out = feature.apply_op1_no_bwd(&op)?.flatten_all()?.to_vec1::<f32>()?;
            for (cell, got) in out.iter().enumerate() {
                let (row, column) = ((cell / 7) as f32, (cell % 7) as f32);
                let x = roi[0] * 0.25 - 0.5 + (roi[2] - roi[0]) * 0.25 * (column + 0.5) / 7.0;
                let y = roi[1] * 0.25 - 0.5 + (roi[3] - roi[1]) * 0.25 * (row + 0.5) / 7.0;
                assert!((got - (3.0 * x + 5.0 * y)).abs() < 1e-3, "cell {cell}: {got}");
            }
        }
        Ok(())
    }

    #[test]
    fn outside_is_zero_and_empty_is_no_panic() -> Result<()> {
        let feature = Tensor::ones((4, 4, 2), candle_core::DType::F32, &Device::Cpu)?;
        let rois = vec![[400.0, 400.0, 440.0, 440.0], [8.0, 8.0, 8.0, 8.0], [f32::NAN; 4]];
        let op = RoiAlign { rois, scale: 0.25, resolution: 2, sampling_ratio: 0 };
        let out = feature.apply_op1_no_bwd(&op)?;
        assert_eq!(out.dims(), [3, 2, 2, 2]);
        assert_eq!(out.sum_all()?.to_scalar::<f32>()?, 0.0);
        Ok(())
    }
}
