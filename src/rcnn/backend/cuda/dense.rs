//! Fully connected layers.

use candle_nn::Linear;

use super::Dtype;
use super::layer::{Ops, padded};
use super::runtime::{Buffer, Product};
use crate::rcnn::Result;
use crate::rcnn::layers::with_values;

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

    /// With `cells`: of a pooled region, whose values the layer has as [channels, cells] and a map as [cells, padded channels].
    pub fn of(ops: &Ops, linear: &Linear, cells: Option<usize>, out: Dtype) -> Result<Self> {
        let (outputs, inputs) = linear.weight().dims2()?;
        let bias = linear.bias().map(|bias| bias.to_vec1::<f32>()).transpose()?.unwrap_or_else(|| vec![0.0; outputs]);
        let cells = cells.unwrap_or(1);
        let channels = inputs / cells;
        let stride = padded(channels);
        with_values(linear.weight(), |weights| {
            Self::pack(ops, cells * stride, &bias, out, |k, o| match (k / stride, k % stride) {
                (cell, channel) if channel < channels => weights[o * inputs + channel * cells + cell],
                _ => 0.0,
            })
        })?
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
