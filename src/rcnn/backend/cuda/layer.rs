//! Maps and convolutional layers, whose weights are packed for matrix products of maps that are channels last.

use super::Dtype;
use super::runtime::{Buffer, Context};
use crate::rcnn::backend::PostOps;
use crate::rcnn::layers::{Conv, Group, with_filters};
use crate::rcnn::{Error, Result};

/// Channels with their padding: whole packs of 16 bytes, whatever the type.
pub(super) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(8)
}

/// A feature map [count, height, width, channels]; `channels` includes the padding, which is zero.
#[derive(Debug)]
pub(super) struct FeatureMap {
    pub buffer: Buffer,
    pub count: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl FeatureMap {
    pub fn pixels(&self) -> usize {
        self.count * self.height * self.width
    }

    pub fn values(&self) -> usize {
        self.pixels() * self.channels
    }

    /// The same values as rows of so many.
    pub fn into_rows(self, channels: usize) -> Self {
        Self { count: self.values() / channels, height: 1, width: 1, channels, ..self }
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
    pub weight: Weight,
    pub bias: Option<Buffer>,
    /// Of a group norm: weight and bias of each channel, side by side.
    pub norm: Option<Buffer>,
    pub kernel: usize,
    pub stride: usize,
    pub groups: usize,
    /// Values of a product's row.
    pub row: usize,
    /// Channels with their padding.
    pub input: usize,
    pub output: usize,
}

#[derive(Debug)]
pub(super) enum Weight {
    /// [groups, taps · input / groups, output / groups]
    Rows(Buffer),
    /// [36, input, output], transformed.
    Winograd(Buffer),
}

impl Layer {
    pub fn pack(ops: &Ops, conv: &Conv) -> Result<Self> {
        Self::pack_for(ops, conv, padded(conv.conv.weight().dim(1)? * conv.conv.config().groups))
    }

    /// The first convolution, of three channels without padding.
    pub fn pack_stem(ops: &Ops, conv: &Conv) -> Result<Self> {
        Self::pack_for(ops, conv, conv.conv.weight().dim(1)?)
    }

    /// For maps of so many channels, with their padding.
    fn pack_for(ops: &Ops, conv: &Conv, input: usize) -> Result<Self> {
        let groups = conv.conv.config().groups;
        let norm = conv.norm.as_ref().map(|norm| ops.affine(norm)).transpose()?;
        with_filters(conv, |f| {
            if groups > 1 && !((f.input * groups).is_multiple_of(8) && f.output.is_multiple_of(8)) {
                return Err(Error::Gpu(format!(
                    "a convolution of {groups} groups of {} channels does not run on a GPU; use the CPU",
                    f.input
                )));
            }
            let (taps, output) = (f.kernel * f.kernel, padded(f.output));
            let row = padded(taps * input);
            let is_winograd = ops.dtype == Dtype::F32 && f.kernel == 3 && f.stride == 1 && groups == 1;
            let weight = if is_winograd {
                Weight::Winograd(ops.context.upload(&winograd_filters(f.weight, f.input, f.output))?)
            } else {
                let (of_group, to_group) = (input / groups, output / groups);
                let mut packed = vec![0f32; row * to_group];
                for (o, filter) in f.weight.chunks_exact(f.input * taps).enumerate() {
                    let (group, o) = (o / to_group, o % to_group);
                    for (at, &value) in filter.iter().enumerate() {
                        let (i, tap) = (at / taps, at % taps);
                        packed[((group * taps + tap) * of_group + i) * to_group + o] = value;
                    }
                }
                Weight::Rows(ops.context.upload_as(&packed, ops.dtype)?)
            };
            let bias = (!f.bias.is_empty()).then(|| ops.bias(f.bias, ops.dtype)).transpose()?;
            Ok(Self { weight, bias, norm, kernel: f.kernel, stride: f.stride, groups, row, input, output })
        })?
    }

    pub fn reads_map_itself(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.groups == 1
    }

    /// Whether its products add what is to be added, the bias, and end with the ReLU.
    pub fn ends_with_product(&self) -> bool {
        self.norm.is_none() && self.groups == 1 && matches!(self.weight, Weight::Rows(_))
    }

    /// Whether something is to be done behind the products.
    pub fn is_left(&self, then: &PostOps<FeatureMap>) -> bool {
        self.norm.is_some() || self.groups > 1 || then.add_to.is_some()
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
    pub fn map(&self, count: usize, height: usize, width: usize, channels: usize) -> Result<FeatureMap> {
        let buffer = self.context.buffer(count * height * width * channels * self.dtype.bytes())?;
        Ok(FeatureMap { buffer, count, height, width, channels })
    }

    /// With zeros for the padding.
    pub fn bias(&self, bias: &[f32], dtype: Dtype) -> Result<Buffer> {
        let mut padded_bias = bias.to_vec();
        padded_bias.resize(padded(bias.len()), 0.0);
        self.context.upload_as(&padded_bias, dtype)
    }

    fn affine(&self, norm: &Group) -> Result<Buffer> {
        let (weight, bias) = (norm.weight.to_vec1::<f32>()?, norm.bias.to_vec1::<f32>()?);
        self.context.upload(&weight.into_iter().zip(bias).map(|(w, b)| [w, b]).collect::<Vec<_>>())
    }

    /// The kernel of that name for this network's type.
    pub fn named(&self, name: &str) -> String {
        format!("{name}_{}", self.dtype.name())
    }
}
