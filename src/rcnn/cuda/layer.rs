//! Convolutions and fully connected layers as matrix products of maps that are channels last.

use candle_nn::Linear;

use super::Dtype;
use super::runtime::{Buffer, Context, Params, Product};
use crate::rcnn::cpu::layer::{with_filters, with_values};
use crate::rcnn::layers::{Conv, EPS, GROUPS, Group};
use crate::rcnn::{Error, Result};

/// Bytes that the rows of one product may take at most; more are multiplied in several.
const SCRATCH: usize = 128 << 20;

/// Channels with their padding: whole packs of 16 bytes, whatever the type.
pub(super) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(8)
}

/// A feature map [count, height, width, channels]; `channels` includes the padding, which is zero.
#[derive(Debug)]
pub(super) struct Map {
    pub buffer: Buffer,
    pub count: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Map {
    pub fn pixels(&self) -> usize {
        self.count * self.height * self.width
    }

    pub fn values(&self) -> usize {
        self.pixels() * self.channels
    }

    /// The same values as rows, one an image.
    pub fn into_rows(self) -> Self {
        let channels = self.height * self.width * self.channels;
        Self { height: 1, width: 1, channels, ..self }
    }
}

/// What follows a convolution.
#[derive(Debug, Default)]
pub(super) struct PostOps {
    pub relu: bool,
    /// Is added before the ReLU; its memory may become the result's.
    pub add: Option<Map>,
}

impl PostOps {
    pub fn relu() -> Self {
        Self { relu: true, add: None }
    }
}

/// The arithmetic of one network: where it runs, and in which type.
#[derive(Debug, Clone)]
pub(super) struct Ops {
    pub context: Context,
    pub dtype: Dtype,
}

#[derive(Debug)]
pub(super) struct Layer {
    weight: Weight,
    bias: Option<Buffer>,
    norm: Option<GroupNorm>,
    kernel: usize,
    stride: usize,
    groups: usize,
    /// Values of a product's row.
    row: usize,
    /// Channels with their padding.
    input: usize,
    output: usize,
}

#[derive(Debug)]
enum Weight {
    /// [groups, taps · input / groups, output / groups]
    Rows(Buffer),
    /// [36, input, output], transformed.
    Winograd(Buffer),
}

#[derive(Debug)]
struct GroupNorm {
    /// Weight and bias of each channel, side by side.
    affine: Buffer,
    groups: usize,
    epsilon: f32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Im2col {
    input: u64,
    output: u64,
    height: i32,
    width: i32,
    channels: i32,
    out_height: i32,
    out_width: i32,
    kernel: i32,
    stride: i32,
    padding: i32,
    groups: i32,
    unused: i32,
    first: i64,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Winograd {
    map: u64,
    tiles: u64,
    bias: u64,
    height: i32,
    width: i32,
    channels: i32,
    down: i32,
    across: i32,
    relu: i32,
    first: i64,
    count: i64,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Finish {
    map: u64,
    bias: u64,
    add: u64,
    moments: u64,
    affine: u64,
    channels: i32,
    relu: i32,
    pixels: i32,
    of_group: i32,
    groups: i32,
    unused: i32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Moments {
    map: u64,
    moments: u64,
    pixels: i32,
    channels: i32,
    of_group: i32,
    groups: i32,
    epsilon: f32,
    threads: i32,
}

// SAFETY: plain numbers, as the kernels declare them; their sizes are compared at each call of a twin.
unsafe impl Params for Im2col {}
// SAFETY: as above.
unsafe impl Params for Winograd {}
// SAFETY: as above.
unsafe impl Params for Finish {}
// SAFETY: as above.
unsafe impl Params for Moments {}

const NORM_THREADS: usize = 512;

impl Layer {
    pub fn pack(ops: &Ops, conv: &Conv) -> Result<Self> {
        let groups = conv.conv.config().groups;
        let norm = conv.norm.as_ref().map(|norm| GroupNorm::pack(ops, norm)).transpose()?;
        with_filters(conv, |f| {
            let (input, output, taps) = (f.input * groups, f.output, f.kernel * f.kernel);
            if groups > 1 && !(input.is_multiple_of(8) && output.is_multiple_of(8)) {
                return Err(Error::Gpu(format!(
                    "a convolution of {groups} groups of {} channels does not run on a GPU; use MODEL_DEVICE=cpu",
                    f.input
                )));
            }
            let (rows, columns) = (padded(input), padded(output));
            let is_winograd = ops.dtype == Dtype::F32 && f.kernel == 3 && f.stride == 1 && groups == 1;
            let weight = if is_winograd {
                Weight::Winograd(ops.context.upload(&winograd_filters(f.weight, f.input, f.output))?)
            } else {
                let (of_group, to_group) = (rows / groups, columns / groups);
                let mut packed = vec![0f32; taps * rows * to_group];
                for (o, filter) in f.weight.chunks_exact(f.input * taps).enumerate() {
                    let (group, o) = (o / to_group, o % to_group);
                    for (at, &value) in filter.iter().enumerate() {
                        let (i, tap) = (at / taps, at % taps);
                        packed[((group * taps + tap) * of_group + i) * to_group + o] = value;
                    }
                }
                Weight::Rows(ops.context.upload_as(&packed, ops.dtype)?)
            };
            let bias = (!f.bias.is_empty()).then(|| ops.bias(f.bias)).transpose()?;
            let row = taps * rows;
            Ok(Self {
                weight,
                bias,
                norm,
                kernel: f.kernel,
                stride: f.stride,
                groups,
                row,
                input: rows,
                output: columns,
            })
        })?
    }

    /// The first convolution, 7 × 7 of three channels, which reads rows of [taps, channels].
    pub fn pack_stem(ops: &Ops, conv: &Conv) -> Result<Self> {
        let norm = conv.norm.as_ref().map(|norm| GroupNorm::pack(ops, norm)).transpose()?;
        with_filters(conv, |f| {
            let (taps, output) = (f.kernel * f.kernel, padded(f.output));
            let row = padded(taps * f.input);
            let mut packed = vec![0f32; row * output];
            for (o, filter) in f.weight.chunks_exact(f.input * taps).enumerate() {
                for (at, &value) in filter.iter().enumerate() {
                    packed[(at % taps * f.input + at / taps) * output + o] = value;
                }
            }
            let weight = Weight::Rows(ops.context.upload_as(&packed, ops.dtype)?);
            let bias = (!f.bias.is_empty()).then(|| ops.bias(f.bias)).transpose()?;
            Ok(Self { weight, bias, norm, kernel: f.kernel, stride: f.stride, groups: 1, row, input: 0, output })
        })?
    }

    /// Channels of the result, with their padding.
    pub fn output(&self) -> usize {
        self.output
    }

    pub fn row(&self) -> usize {
        self.row
    }

    fn reads_map_itself(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.groups == 1
    }

    /// Whether its products add what is to be added, the bias, and end with the ReLU.
    fn ends_with_product(&self) -> bool {
        self.norm.is_none() && self.groups == 1 && matches!(self.weight, Weight::Rows(_))
    }

    /// Whether something is to be done behind the products.
    fn is_left(&self, then: &PostOps) -> bool {
        self.norm.is_some() || self.groups > 1 || then.add.is_some()
    }
}

impl GroupNorm {
    fn pack(ops: &Ops, norm: &Group) -> Result<Self> {
        let (weight, bias) = (norm.weight.to_vec1::<f32>()?, norm.bias.to_vec1::<f32>()?);
        let affine: Vec<f32> = weight.iter().zip(&bias).flat_map(|(&w, &b)| [w, b]).collect();
        Ok(Self { affine: ops.context.upload(&affine)?, groups: GROUPS, epsilon: EPS as f32 })
    }
}

/// G g Gᵀ of each filter [output, input, 3, 3], as [36, input, output] with both padded.
fn winograd_filters(weight: &[f32], input: usize, output: usize) -> Vec<f32> {
    let g = |x: [f32; 3]| {
        let [sum, difference] = [(x[0] + x[2]) / 6.0, x[1] / 6.0];
        let [even, odd] = [x[0] / 24.0 + x[2] / 6.0, x[1] / 12.0];
        [x[0] / 4.0, -sum - difference, -sum + difference, even + odd, even - odd, x[2]]
    };
    let (rows, columns) = (padded(input), padded(output));
    let mut out = vec![0f32; 36 * rows * columns];
    for (at, filter) in weight.chunks_exact(9).enumerate() {
        let (o, i) = (at / input, at % input);
        // [column][row]
        let half: [[f32; 6]; 3] = std::array::from_fn(|x| g([filter[x], filter[3 + x], filter[6 + x]]));
        for y in 0..6 {
            for (x, value) in g([half[0][y], half[1][y], half[2][y]]).into_iter().enumerate() {
                out[((y * 6 + x) * rows + i) * columns + o] = value;
            }
        }
    }
    out
}

impl Ops {
    pub fn map(&self, count: usize, height: usize, width: usize, channels: usize) -> Result<Map> {
        let buffer = self.context.buffer(count * height * width * channels * self.dtype.bytes())?;
        Ok(Map { buffer, count, height, width, channels })
    }

    fn bias(&self, bias: &[f32]) -> Result<Buffer> {
        let mut padded_bias = bias.to_vec();
        padded_bias.resize(padded(bias.len()), 0.0);
        self.context.upload_as(&padded_bias, self.dtype)
    }

    /// The kernel of that name for this network's type.
    pub fn named(&self, name: &str) -> String {
        format!("{name}_{}", self.dtype.name())
    }

    /// [N, H, W, C] → [N, H / stride, W / stride, D].
    pub fn conv(&self, layer: &Layer, x: &Map, mut then: PostOps) -> Result<Map> {
        assert_eq!(x.channels, layer.input, "a map with the channels of another layer");
        let (height, width) = ((x.height - 1) / layer.stride + 1, (x.width - 1) / layer.stride + 1);
        // A product adds to what is there already.
        let in_place = then.add.take_if(|_| layer.ends_with_product());
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
        out: &Map,
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

    fn product(&self, layer: &Layer, weight: &Buffer, out: &Map, add: bool, relu: bool) -> Product {
        let (k, n) = (layer.row / layer.groups, layer.output / layer.groups);
        let last = layer.ends_with_product();
        Product {
            m: 0,
            n,
            k,
            a: 0,
            lda: layer.row,
            b: weight.address,
            ldb: n,
            d: out.buffer.address,
            ldd: layer.output,
            // A batched product would need a bias for each group.
            bias: if last { layer.bias.as_ref().map_or(0, |b| b.address) } else { 0 },
            add,
            relu: relu && last,
            dtype: self.dtype,
            out: self.dtype,
            batch: layer.groups,
            strides: if layer.groups > 1 { [k, k * n, n] } else { [0; 3] },
        }
    }

    /// Rows `first` to `first + rows` of kernel · kernel · channels values, one for each pixel of `out`.
    pub fn im2col(
        &self,
        x: &Map,
        out: &Map,
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
            unused: 0,
            first: first as i64,
        };
        let items = rows * kernel * kernel * x.channels / self.dtype.pack();
        self.context.items(&self.named("im2col"), &params, items)
    }

    fn winograd(&self, layer: &Layer, weight: &Buffer, x: &Map, out: &Map, relu: bool) -> Result<()> {
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
                m: count,
                n: layer.output,
                k: layer.input,
                a: scattered.address,
                lda: layer.input,
                b: weight.address,
                ldb: layer.output,
                d: products.address,
                ldd: layer.output,
                bias: 0,
                add: false,
                relu: false,
                dtype: Dtype::F32,
                out: Dtype::F32,
                batch: 36,
                strides: [count * layer.input, layer.input * layer.output, count * layer.output],
            })?;
            let bias = layer.bias.as_ref().map_or(0, |b| b.address);
            let (map, channels) = (out.buffer.address, layer.output as i32);
            let params = Winograd { map, tiles: products.address, bias, channels, ..params };
            self.context.items("winograd_gather", &params, count * layer.output)?;
        }
        Ok(())
    }

    /// What the layer's products could not do: the bias of groups, a group norm, an addition, the ReLU.
    pub fn finish(&self, layer: &Layer, out: &Map, then: &PostOps) -> Result<()> {
        if !layer.is_left(then) {
            return Ok(());
        }
        let (pixels, channels) = (out.height * out.width, out.channels);
        let mut params = Finish {
            map: out.buffer.address,
            bias: layer.bias.as_ref().filter(|_| layer.groups > 1).map_or(0, |bias| bias.address),
            add: then.add.as_ref().map_or(0, |map| map.buffer.address),
            moments: 0,
            affine: 0,
            channels: channels as i32,
            relu: i32::from(then.relu),
            pixels: pixels as i32,
            of_group: 0,
            groups: 0,
            unused: 0,
        };
        let moments;
        if let Some(norm) = &layer.norm {
            let of_group = channels / norm.groups;
            moments = self.context.buffer(out.count * norm.groups * 2 * 4)?;
            let of_norm = Moments {
                map: params.map,
                moments: moments.address,
                pixels: pixels as i32,
                channels: channels as i32,
                of_group: of_group as i32,
                groups: norm.groups as i32,
                epsilon: norm.epsilon,
                threads: NORM_THREADS as i32,
            };
            let shared = NORM_THREADS * 4;
            self.context.blocks(&self.named("moments"), &of_norm, out.count * norm.groups, NORM_THREADS, shared)?;
            params.moments = moments.address;
            params.affine = norm.affine.address;
            params.of_group = of_group as i32;
            params.groups = norm.groups as i32;
        }
        self.context.items(&self.named("finish"), &params, out.values())
    }
}

/// A fully connected layer: rows of [input] → rows of [output].
#[derive(Debug)]
pub(super) struct Dense {
    weight: Buffer,
    bias: Buffer,
    input: usize,
    /// With its padding.
    pub output: usize,
    out: Dtype,
}

impl Dense {
    /// `weight(k, o)` and the biases; results are of the type `out`.
    pub fn pack(
        ops: &Ops,
        input: usize,
        bias: &[f32],
        out: Dtype,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Result<Self> {
        let output = padded(bias.len());
        let mut packed = vec![0f32; input * output];
        for (k, row) in packed.chunks_exact_mut(output).enumerate() {
            row[..bias.len()].iter_mut().enumerate().for_each(|(o, value)| *value = weight(k, o));
        }
        let mut padded_bias = bias.to_vec();
        padded_bias.resize(output, 0.0);
        let weight = ops.context.upload_as(&packed, ops.dtype)?;
        Ok(Self { weight, bias: ops.context.upload_as(&padded_bias, out)?, input, output, out })
    }

    /// Layers side by side that read the same rows. `cells`: of a pooled region, whose values the layers have as [channels, cells] and a
    /// map as [cells, padded channels].
    pub fn join(ops: &Ops, layers: &[&Linear], cells: Option<usize>, out: Dtype) -> Result<Self> {
        let (mut weights, mut bias) = (vec![], vec![]);
        let (_, inputs) = layers[0].weight().dims2()?;
        for layer in layers {
            with_values(layer.weight(), |values| weights.extend_from_slice(values))?;
            match layer.bias() {
                Some(b) => bias.extend(b.to_vec1::<f32>()?),
                None => bias.resize(bias.len() + layer.weight().dim(0)?, 0.0),
            }
        }
        let cells = cells.unwrap_or(1);
        let channels = inputs / cells;
        let stride = padded(channels);
        Self::pack(ops, cells * stride, &bias, out, |k, o| match (k / stride, k % stride) {
            (cell, channel) if channel < channels => weights[o * inputs + channel * cells + cell],
            _ => 0.0,
        })
    }

    /// The rows' buffer, each of `output` values.
    pub fn forward(&self, ops: &Ops, x: u64, rows: usize, relu: bool) -> Result<Buffer> {
        let out = ops.context.buffer(rows * self.output * self.out.bytes())?;
        ops.context.product(&Product {
            m: rows,
            n: self.output,
            k: self.input,
            a: x,
            lda: self.input,
            b: self.weight.address,
            ldb: self.output,
            d: out.address,
            ldd: self.output,
            bias: self.bias.address,
            add: false,
            relu,
            dtype: ops.dtype,
            out: self.out,
            batch: 1,
            strides: [0; 3],
        })?;
        Ok(out)
    }
}
