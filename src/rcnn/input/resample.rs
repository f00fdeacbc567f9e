//! Pillow's BILINEAR resize of 8-bit RGB images, to the last bit.
//!
//! Detectron2 resizes with Pillow, which antialiases when it shrinks: the triangle filter grows with the scale. Its 22-bit
//! fixed-point weights and its rounding to 8 bits between the passes (`libImaging/Resample.c`) are kept, because a network's
//! scores move by some thousandths when one pixel in thirty is a level off.

use std::borrow::Cow;

use image::RgbImage;
use rayon::prelude::*;

use crate::kernels::vectorized;

const PRECISION_BITS: u32 = 32 - 8 - 2;
const CHANNELS: usize = 3;

/// Resizes to `width` × `height` pixels, both above zero.
pub fn resize_bilinear(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let mut image = Cow::Borrowed(image);
    if width != image.width() {
        image = Cow::Owned(horizontal(&image, width));
    }
    if height != image.height() {
        image = Cow::Owned(vertical(&image, height));
    }
    image.into_owned()
}

/// The source pixels of one target pixel, from `start`, and their weights.
struct Taps {
    start: usize,
    weights: Vec<i32>,
}

fn taps(source: u32, target: u32) -> Vec<Taps> {
    let scale = f64::from(source) / f64::from(target);
    let support = scale.max(1.0); // the triangle's half width is 1
    (0..target)
        .map(|i| {
            let center = (f64::from(i) + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(source as usize);
            let triangle = |x: usize| (1.0 - ((x as f64 - center + 0.5) / support).abs()).max(0.0);
            let raw: Vec<f64> = (start..end).map(triangle).collect();
            let sum: f64 = raw.iter().sum();
            let fixed = |w: f64| (0.5 + w / sum * f64::from(1 << PRECISION_BITS)) as i32;
            Taps { start, weights: raw.into_iter().map(fixed).collect() }
        })
        .collect()
}

/// The taps of all target pixels in three lists, as kernels/resize.cuh takes them.
#[cfg(feature = "cuda")]
#[derive(Debug, Default)]
pub(in crate::rcnn) struct Tables {
    /// [target]: the first source pixel.
    pub starts: Vec<i32>,
    /// [target + 1]: where the weights begin.
    pub offsets: Vec<i32>,
    pub weights: Vec<i32>,
}

#[cfg(feature = "cuda")]
impl Tables {
    /// For a side of `source` pixels that becomes one of `target`.
    pub fn new(source: u32, target: u32) -> Self {
        let mut tables = Self { offsets: vec![0], ..Self::default() };
        for taps in taps(source, target) {
            tables.starts.push(taps.start as i32);
            tables.weights.extend(taps.weights);
            tables.offsets.push(tables.weights.len() as i32);
        }
        tables
    }
}

fn round(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION_BITS - 1);

fn horizontal(image: &RgbImage, width: u32) -> RgbImage {
    let taps = taps(image.width(), width);
    let mut out = RgbImage::new(width, image.height());
    let row_bytes = |width: u32| width as usize * CHANNELS;
    let rows = image.as_raw().par_chunks_exact(row_bytes(image.width()));
    out.par_chunks_exact_mut(row_bytes(width)).zip(rows).for_each(|(out, row)| {
        for (out, taps) in out.chunks_exact_mut(CHANNELS).zip(&taps) {
            let mut sums = [HALF; CHANNELS];
            for (pixel, &weight) in row[taps.start * CHANNELS..].chunks_exact(CHANNELS).zip(&taps.weights) {
                sums.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += i32::from(v) * weight);
            }
            out.copy_from_slice(&sums.map(round));
        }
    });
    out
}

fn vertical(image: &RgbImage, height: u32) -> RgbImage {
    let taps = taps(image.height(), height);
    let mut out = RgbImage::new(image.width(), height);
    let row_bytes = image.width() as usize * CHANNELS;
    let source = image.as_raw();
    out.par_chunks_exact_mut(row_bytes).zip(taps).for_each(|(out, taps)| {
        vectorized(|| {
            let mut sums = vec![HALF; row_bytes];
            for (row, &weight) in source[taps.start * row_bytes..].chunks_exact(row_bytes).zip(&taps.weights) {
                sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += i32::from(v) * weight);
            }
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = round(sum));
        });
    });
    out
}
