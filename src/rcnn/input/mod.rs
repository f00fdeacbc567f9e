//! From an RGB image to the network's input: resize as Pillow does, reorder, normalise, pad.

pub mod resample;

use candle_core::{Device, Tensor};
use image::RgbImage;
use rayon::prelude::*;

use self::resample::resize_bilinear;
use super::backbone::SIZE_DIVISIBILITY;
use super::config::{ChannelOrder, Config};
use super::{Error, Result};
use crate::kernels;

/// The network's input and the size of the image within it.
#[derive(Debug)]
pub struct ModelInput {
    /// [1, 3, H, W], normalised, channels in `INPUT.FORMAT` order, zero-padded at the right and bottom.
    pub tensor: Tensor,
    /// Size of the resized image without padding, in pixels.
    pub width: usize,
    pub height: usize,
}

impl ModelInput {
    pub fn new(image: &RgbImage, config: &Config, device: &Device) -> Result<Self> {
        let resized = resize(image, config)?;
        let (width, height) = (resized.width() as usize, resized.height() as usize);
        let (padded_width, padded_height) = (padded(width), padded(height));
        let plane = padded_width * padded_height;
        let mut data = vec![0f32; 3 * plane];
        let order = order(config);
        for (c, (plane, source)) in data.chunks_exact_mut(plane).zip(order).enumerate() {
            let (mean, std) = (config.model.pixel_mean[c], config.model.pixel_std[c]);
            for (out, row) in plane.chunks_exact_mut(padded_width).zip(resized.as_raw().chunks_exact(width * 3)) {
                for (out, pixel) in out.iter_mut().zip(row.chunks_exact(3)) {
                    *out = (f32::from(pixel[source]) - mean) / std;
                }
            }
        }
        let tensor = Tensor::from_vec(data, (1, 3, padded_height, padded_width), device)?;
        Ok(Self { tensor, width, height })
    }
}

/// The same for the CPU's kernels, channels last; with the size of the resized image.
pub(in crate::rcnn) fn image_for_cpu(
    image: &RgbImage,
    config: &Config,
    pool: &kernels::Workspace,
) -> Result<(kernels::Image, (usize, usize))> {
    let resized = resize(image, config)?;
    let (width, height) = (resized.width() as usize, resized.height() as usize);
    let mut out = kernels::Image::new(pool, padded(height), padded(width));
    let (order, mean, std) = (order(config), &config.model.pixel_mean, &config.model.pixel_std);
    let normal: [[f32; 256]; 3] = std::array::from_fn(|c| std::array::from_fn(|v| (v as f32 - mean[c]) / std[c]));
    let rows = resized.as_raw().par_chunks_exact(width * 3);
    out.par_rows_mut().zip(rows).for_each(|(out, row)| {
        for (out, pixel) in out.chunks_exact_mut(3).zip(row.chunks_exact(3)) {
            for c in 0..3 {
                out[c] = normal[c][usize::from(pixel[order[c]])];
            }
        }
    });
    Ok((out, (width, height)))
}

pub(in crate::rcnn) fn padded(side: usize) -> usize {
    side.div_ceil(SIZE_DIVISIBILITY) * SIZE_DIVISIBILITY
}

/// Where each input channel is in an RGB pixel.
pub(in crate::rcnn) fn order(config: &Config) -> [usize; 3] {
    match config.input.format {
        ChannelOrder::Bgr => [2, 1, 0],
        ChannelOrder::Rgb => [0, 1, 2],
    }
}

/// The size that Detectron2's `ResizeShortestEdge` gives an image of `width` × `height` pixels.
pub fn resized_size(width: u32, height: u32, config: &Config) -> (u32, u32) {
    let (min, max) = (f64::from(config.input.min_size_test), f64::from(config.input.max_size_test));
    if config.input.min_size_test == 0 {
        return (width, height);
    }
    let (w, h) = (f64::from(width), f64::from(height));
    let scale = min / w.min(h);
    let (mut new_w, mut new_h) = if h < w { (scale * w, min) } else { (min, scale * h) };
    let longest = new_w.max(new_h);
    if longest > max {
        let scale = max / longest;
        (new_w, new_h) = (new_w * scale, new_h * scale);
    }
    let round = |side: f64| ((side + 0.5) as u32).max(1);
    (round(new_w), round(new_h))
}

/// Resizes as Detectron2 does, in Pillow's BILINEAR.
pub fn resize(image: &RgbImage, config: &Config) -> Result<RgbImage> {
    if image.width() == 0 || image.height() == 0 {
        return Err(Error::EmptyImage);
    }
    let (width, height) = resized_size(image.width(), image.height(), config);
    Ok(resize_bilinear(image, width, height))
}
