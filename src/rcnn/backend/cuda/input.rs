//! Pages on their way in: bytes to the GPU, resized there as Pillow does.

use image::RgbImage;

use super::layer::{FeatureMap, Layer, Ops};
use super::params::{ResizeParams, StemRows};
use super::runtime::Buffer;
use crate::rcnn::backend::PostOps;
use crate::rcnn::config::Config;
use crate::rcnn::input::resample::Tables;
use crate::rcnn::input::{order, padded, resized_size};
use crate::rcnn::{Error, Result};

/// How a configuration prepares pixels.
#[derive(Debug)]
pub(super) struct Input {
    config: Config,
}

/// Images of one size on the GPU.
#[derive(Debug)]
pub(super) struct Loaded {
    /// [count, height, width, 3], resized.
    pixels: Buffer,
    pub count: usize,
    /// Width and height, in pixels: of the images that were given, and resized.
    pub original: (u32, u32),
    pub size: (usize, usize),
    /// [count, 2] f32 each: the same on the GPU.
    pub sizes: Buffer,
    pub originals: Buffer,
}

impl Input {
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone() }
    }

    /// Copies and resizes images that all have the size of the first.
    pub fn load(&self, ops: &Ops, images: &[&RgbImage]) -> Result<Loaded> {
        let Some(original) = images.first().map(|image| image.dimensions()).filter(|&(w, h)| w > 0 && h > 0) else {
            return Err(Error::EmptyImage);
        };
        assert!(images.iter().all(|image| image.dimensions() == original), "images of several sizes in a batch");
        let count = images.len();
        let (width, height) = resized_size(original.0, original.1, &self.config);
        let bytes: Vec<&[u8]> = images.iter().map(|image| image.as_raw().as_slice()).collect();
        let pixels = ops.context.buffer(bytes.iter().map(|b| b.len()).sum())?;
        ops.context.0.write(pixels.address, &bytes)?;
        let pixels = resize(ops, pixels, count, original, (width, height))?;
        let pairs = |(w, h): (u32, u32)| ops.context.upload(&[w as f32, h as f32].repeat(count));
        Ok(Loaded {
            pixels,
            count,
            original,
            size: (width as usize, height as usize),
            sizes: pairs((width, height))?,
            originals: pairs(original)?,
        })
    }
}

/// So many images [height, width, 3] of bytes, from one size (width, height) to another.
pub(super) fn resize(
    ops: &Ops,
    mut pixels: Buffer,
    count: usize,
    (width, height): (u32, u32),
    (to_width, to_height): (u32, u32),
) -> Result<Buffer> {
    if to_width != width {
        let (tables, made) = (Tables::new(width, to_width), count * (to_width * height) as usize);
        pixels = resize_side(ops, &pixels, (width, height), "resize_horizontal", &tables, made)?;
    }
    if to_height != height {
        let (tables, made) = (Tables::new(height, to_height), count * (to_width * to_height) as usize);
        pixels = resize_side(ops, &pixels, (to_width, height), "resize_vertical", &tables, made)?;
    }
    Ok(pixels)
}

/// `pixels`: of the result.
fn resize_side(
    ops: &Ops,
    input: &Buffer,
    (width, height): (u32, u32),
    kernel: &str,
    tables: &Tables,
    pixels: usize,
) -> Result<Buffer> {
    let output = ops.context.buffer(pixels * 3)?;
    let starts = ops.context.upload(&tables.starts)?;
    let offsets = ops.context.upload(&tables.offsets)?;
    let weights = ops.context.upload(&tables.weights)?;
    let params = ResizeParams {
        input: input.address,
        output: output.address,
        starts: starts.address,
        offsets: offsets.address,
        weights: weights.address,
        height: height as i32,
        width: width as i32,
        target: tables.starts.len() as i32,
    };
    ops.context.items(kernel, &params, pixels)?;
    Ok(output)
}

impl Ops {
    /// The first convolution with its ReLU, of normalised and padded images: [N, H / 2, W / 2, C].
    pub fn stem_conv(&self, layer: &Layer, input: &Input, images: &Loaded) -> Result<FeatureMap> {
        let (width, height) = images.size;
        let (out_width, out_height) = (padded(width) / 2, padded(height) / 2);
        let model = &input.config.model;
        let three = |values: &[f32]| std::array::from_fn(|c| values.get(c).copied().unwrap_or_default());
        let (name, row) = (self.named("stem_im2col"), layer.row);
        let params = StemRows {
            input: images.pixels.address,
            height: height as i32,
            width: width as i32,
            out_height: out_height as i32,
            out_width: out_width as i32,
            order: order(&input.config).map(|c| c as i32),
            mean: three(&model.pixel_mean),
            deviation: three(&model.pixel_std),
            row: row as i32,
            ..Default::default()
        };
        let out = self.map(images.count, out_height, out_width, layer.output)?;
        self.product_of_rows(layer, &out, false, true, |first, rows, output| {
            let params = StemRows { output, first: first as i64, ..params };
            self.context.items(&name, &params, rows * row)
        })?;
        self.finish(layer, &out, &PostOps::relu())?;
        Ok(out)
    }
}
