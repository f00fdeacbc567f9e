//! Fully connected layers.

use candle_nn::Linear;

use super::Dtype;
use super::layer::{FeatureMap, Ops, padded};
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
    /// With `cells`: of a pooled region, whose values the layer has as [channels, cells] and a map as [cells, padded channels]. Results are of the type
    /// `out`.
    pub fn pack(ops: &Ops, linear: &Linear, cells: Option<usize>, out: Dtype) -> Result<Self> {
        let (outputs, inputs) = linear.weight().dims2()?;
        let bias = linear.bias().map(|bias| bias.to_vec1::<f32>()).transpose()?.unwrap_or_else(|| vec![0.0; outputs]);
        let cells = cells.unwrap_or(1);
        let channels = inputs / cells;
        let (input, output) = (cells * padded(channels), padded(outputs));
        let mut packed = vec![0f32; input * output];
        with_values(linear.weight(), |weight| {
            for (k, row) in packed.chunks_exact_mut(output).enumerate() {
                let (cell, channel) = (k / padded(channels), k % padded(channels));
                if channel < channels {
                    let of_outputs = weight.iter().skip(channel * cells + cell).step_by(inputs);
                    row.iter_mut().zip(of_outputs).for_each(|(to, &value)| *to = value);
                }
            }
        })?;
        let weight = ops.context.upload_as(&packed, ops.dtype)?;
        Ok(Self { weight, bias: ops.bias(&bias, out)?, input, output, out })
    }

    pub fn forward(&self, ops: &Ops, x: &FeatureMap, relu: bool) -> Result<FeatureMap> {
        let buffer = ops.context.buffer(x.pixels() * self.output * self.out.bytes())?;
        let product = Product::new([x.pixels(), self.output, self.input], ops.dtype);
        ops.context.product(&Product {
            a: x.buffer.address,
            b: self.weight.address,
            d: buffer.address,
            bias: self.bias.address,
            relu,
            out: self.out,
            ..product
        })?;
        Ok(FeatureMap { buffer, count: x.count, height: x.height, width: x.width, channels: self.output })
    }
}
