//! Convolutions as matrix products: of the map as it lies, of rows that `im2col` gathers, or of Winograd's tiles.

use super::Dtype;
use super::layer::{FeatureMap, Layer, Ops, Weight};
use super::params::{Finish, Im2col, Moments, Winograd};
use super::runtime::{Buffer, Product};
use crate::rcnn::backend::PostOps;
use crate::rcnn::layers::{EPS, GROUPS};
use crate::rcnn::{Error, Result};

/// Bytes that the rows of one product may take at most; more are multiplied in several.
const SCRATCH: usize = 128 << 20;

/// Threads of a block that takes a group's moments.
const NORM_THREADS: usize = 512;

impl Ops {
    /// [N, H, W, C] → [N, H / stride, W / stride, D].
    pub fn run_conv(&self, layer: &Layer, x: &FeatureMap, mut then: PostOps<FeatureMap>) -> Result<FeatureMap> {
        assert_eq!(x.channels, layer.input, "a map with the channels of another layer");
        let (height, width) = ((x.height - 1) / layer.stride + 1, (x.width - 1) / layer.stride + 1);
        // A product adds to what is there already.
        let in_place = then.add_to.take_if(|_| layer.ends_with_product());
        let add = in_place.is_some();
        let out = in_place.map_or_else(|| self.map(x.count, height, width, layer.output), Ok)?;
        assert_eq!((out.pixels(), out.channels), (x.count * height * width, layer.output));
        match &layer.weight {
            Weight::Winograd(weight) => self.winograd(layer, weight, x, &out, then.relu && !layer.is_left(&then))?,
            Weight::Rows(weight) if layer.reads_map_itself() => {
                let product = self.product(layer, weight, &out, add, then.relu);
                self.context.product(&Product { m: out.pixels(), a: x.buffer.address, ..product })?;
            }
            Weight::Rows(_) => self.product_of_rows(layer, &out, add, then.relu, |first, rows, to| {
                self.im2col(x, &out, (layer.kernel, layer.stride, layer.groups), first, rows, to)
            })?,
        }
        self.finish(layer, &out, &then)?;
        Ok(out)
    }

    /// Multiplies the rows of each pixel of `out`, which `fill(first, rows, address)` writes, a part at a time.
    pub fn product_of_rows(
        &self,
        layer: &Layer,
        out: &FeatureMap,
        add: bool,
        relu: bool,
        fill: impl Fn(usize, usize, u64) -> Result<()>,
    ) -> Result<()> {
        let Weight::Rows(weight) = &layer.weight else {
            return Err(Error::Gpu("a layer for tiles was given rows".into()));
        };
        let product = self.product(layer, weight, out, add, relu);
        let bytes = layer.row * self.dtype.bytes();
        let rows = (SCRATCH / bytes).clamp(1, out.pixels());
        let scratch = self.context.buffer(rows * bytes)?;
        for first in (0..out.pixels()).step_by(rows) {
            let m = rows.min(out.pixels() - first);
            fill(first, m, scratch.address)?;
            let d = out.buffer.address + (first * layer.output * self.dtype.bytes()) as u64;
            self.context.product(&Product { m, a: scratch.address, d, ..product })?;
        }
        Ok(())
    }

    fn product(&self, layer: &Layer, weight: &Buffer, out: &FeatureMap, add: bool, relu: bool) -> Product {
        let (k, n) = (layer.row / layer.groups, layer.output / layer.groups);
        let last = layer.ends_with_product();
        Product {
            lda: layer.row,
            b: weight.address,
            d: out.buffer.address,
            ldd: layer.output,
            // A batched product would need a bias for each group.
            bias: if last { layer.bias.as_ref().map_or(0, |b| b.address) } else { 0 },
            add,
            relu: relu && last,
            batch: layer.groups,
            strides: if layer.groups > 1 { [k, k * n, n] } else { [0; 3] },
            ..Product::new([0, n, k], self.dtype)
        }
    }

    /// Rows `first` to `first + rows` of kernel · kernel · channels values, one for each pixel of `out`.
    pub fn im2col(
        &self,
        x: &FeatureMap,
        out: &FeatureMap,
        (kernel, stride, groups): (usize, usize, usize),
        first: usize,
        rows: usize,
        to: u64,
    ) -> Result<()> {
        let params = Im2col {
            input: x.buffer.address,
            output: to,
            height: x.height as i32,
            width: x.width as i32,
            channels: x.channels as i32,
            out_height: out.height as i32,
            out_width: out.width as i32,
            kernel: kernel as i32,
            stride: stride as i32,
            padding: (kernel / 2) as i32,
            groups: groups as i32,
            first: first as i64,
            ..Default::default()
        };
        let items = rows * kernel * kernel * x.channels / self.dtype.pack();
        self.context.items(&self.named("im2col"), &params, items)
    }

    fn winograd(&self, layer: &Layer, weight: &Buffer, x: &FeatureMap, out: &FeatureMap, relu: bool) -> Result<()> {
        let (down, across) = (x.height.div_ceil(4), x.width.div_ceil(4));
        let total = x.count * down * across;
        let of_tile = 36 * 4 * (layer.input + layer.output);
        let tiles = (2 * SCRATCH / of_tile).clamp(1, total);
        let scattered = self.context.buffer(tiles * 36 * 4 * layer.input)?;
        let products = self.context.buffer(tiles * 36 * 4 * layer.output)?;
        for first in (0..total).step_by(tiles) {
            let count = tiles.min(total - first);
            let params = Winograd {
                map: x.buffer.address,
                tiles: scattered.address,
                bias: 0,
                height: x.height as i32,
                width: x.width as i32,
                channels: layer.input as i32,
                down: down as i32,
                across: across as i32,
                relu: i32::from(relu),
                first: first as i64,
                count: count as i64,
            };
            self.context.items("winograd_scatter", &params, count * layer.input)?;
            self.context.product(&Product {
                a: scattered.address,
                b: weight.address,
                d: products.address,
                batch: 36,
                strides: [count * layer.input, layer.input * layer.output, count * layer.output],
                ..Product::new([count, layer.output, layer.input], Dtype::F32)
            })?;
            let bias = layer.bias.as_ref().map_or(0, |b| b.address);
            let (map, channels) = (out.buffer.address, layer.output as i32);
            let params = Winograd { map, tiles: products.address, bias, channels, ..params };
            self.context.items("winograd_gather", &params, count * layer.output)?;
        }
        Ok(())
    }

    /// What the layer's products could not do: the bias of groups, a group norm, an addition, the ReLU.
    pub fn finish(&self, layer: &Layer, out: &FeatureMap, then: &PostOps<FeatureMap>) -> Result<()> {
        if !layer.is_left(then) {
            return Ok(());
        }
        let (pixels, channels) = (out.height * out.width, out.channels);
        let mut params = Finish {
            map: out.buffer.address,
            bias: layer.bias.as_ref().filter(|_| layer.groups > 1).map_or(0, |bias| bias.address),
            add: then.add_to.as_ref().map_or(0, |map| map.buffer.address),
            channels: channels as i32,
            relu: i32::from(then.relu),
            pixels: pixels as i32,
            ..Default::default()
        };
        let moments;
        if let Some(affine) = &layer.norm {
            moments = self.context.buffer(out.count * GROUPS * 2 * 4)?;
            params.moments = moments.address;
            params.affine = affine.address;
            params.of_group = (channels / GROUPS) as i32;
            params.groups = GROUPS as i32;
            let of_norm = Moments {
                map: params.map,
                moments: params.moments,
                pixels: params.pixels,
                channels: params.channels,
                of_group: params.of_group,
                groups: params.groups,
                epsilon: EPS as f32,
                threads: NORM_THREADS as i32,
            };
            let shared = NORM_THREADS * 4;
            self.context.blocks(&self.named("moments"), &of_norm, out.count * GROUPS, NORM_THREADS, shared)?;
        }
        self.context.items(&self.named("finish"), &params, out.values())
    }
}
