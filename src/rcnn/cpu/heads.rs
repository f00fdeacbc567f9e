//! Box and mask heads on the CPU.

use candle_core::Tensor;

use super::super::Result;
use super::super::boxes::Box2;
use super::super::fpn::STRIDES;
use super::super::layers::Conv;
use super::super::pooler::{Pooler, by_level};
use super::super::roi_heads::{self, Instances, MASK_CHUNK, Selection};
use super::super::rpn::Proposals;
use super::Watch;
use super::layer::{Layer, with_filters, with_values};
use crate::kernels::{self, FeatureMap, Filters, Isa, Linear, Options, PostOps, channel_stride, roi_align};

/// How many RoIs the box head takes at once: few enough to bound their memory, and enough that its weights are not read too often.
const BOX_CHUNK: usize = 504;

/// Two 1 × 1 convolutions of one map as one.
pub(super) fn join(first: &Conv, second: &Conv, options: Options) -> Result<kernels::Conv> {
    with_filters(first, |a| {
        with_filters(second, |b| {
            let weight = [a.weight, b.weight].concat();
            let bias = [a.bias, b.bias].concat();
            let filters = Filters { weight: &weight, bias: &bias, output: a.output + b.output, ..*a };
            kernels::Conv::new(options, &filters)
        })
    })?
}

/// RoIs pooled from the pyramid: [n, R, R, C].
fn pool(pooler: &Pooler, features: &[FeatureMap], boxes: &[Box2]) -> FeatureMap {
    let side = pooler.resolution;
    let mut out = features[0].pool().map(boxes.len(), side, side, features[0].channels);
    for (rows, (feature, stride)) in by_level(boxes).iter().zip(features.iter().zip(STRIDES)) {
        roi_align(Isa::best(), feature, &pooler.op(boxes, rows, stride), rows, &mut out);
    }
    out
}

#[derive(Debug)]
pub(super) struct BoxHead {
    pooler: Pooler,
    convs: Vec<Layer>,
    fcs: Vec<Linear>,
    /// Logits of the classes and the background, then deltas.
    predictions: Linear,
    classes: usize,
    deltas: usize,
    selection: Selection,
}

impl BoxHead {
    pub fn pack(head: roi_heads::BoxHead, options: Options) -> Result<Self> {
        let roi_heads::BoxHead { pooler, convs, fcs, cls_score, bbox_pred, selection } = head;
        let cells = pooler.resolution * pooler.resolution;
        // The first layer reads a pooled RoI as it lies there: cells of channels, not channels of cells.
        let mut from_cells = Some(cells);
        let mut packed = vec![];
        for fc in fcs {
            packed.push(linear(&[&fc], from_cells.take(), options)?);
        }
        let (classes, deltas) = (cls_score.weight().dim(0)?, bbox_pred.weight().dim(0)?);
        let predictions = linear(&[&cls_score, &bbox_pred], from_cells.take(), options)?;
        let convs = convs.into_iter().map(|conv| Layer::pack(conv, options)).collect::<Result<_>>()?;
        Ok(Self { pooler, convs, fcs: packed, predictions, classes, deltas, selection })
    }

    pub fn run(
        &self,
        features: &[FeatureMap],
        proposals: &Proposals,
        size: (usize, usize),
        threshold: f32,
        watch: &mut Watch<'_>,
    ) -> Result<Instances> {
        let (mut scores, mut deltas) = (vec![], vec![]);
        for boxes in proposals.boxes.chunks(BOX_CHUNK) {
            let mut x = pool(&self.pooler, features, boxes);
            watch.mark("RoIAlign");
            for conv in &self.convs {
                watch.check_cancelled()?;
                x = conv.forward(&x, PostOps::relu())?;
            }
            let (count, values) = (x.count, x.height * x.width * x.stride);
            let mut x = x.reshape(count, 1, 1, values);
            for fc in &self.fcs {
                watch.check_cancelled()?;
                x = fc.forward(&x, true);
            }
            let predictions = self.predictions.forward(&x, false);
            for row in predictions.data().chunks_exact(predictions.stride) {
                scores.push(softmax(&row[..self.classes]));
                deltas.push(row[self.classes..][..self.deltas].to_vec());
            }
            watch.mark("box head");
        }
        let instances = self.selection.select(proposals, &scores, &deltas, size, threshold);
        watch.mark("selection");
        Ok(instances)
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|v| (v - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|v| v / sum).collect()
}

/// Layers of the same inputs as one. With `cells`, inputs come as so many cells of aligned channels, and the weights as channels of cells.
fn linear(layers: &[&candle_nn::Linear], cells: Option<usize>, options: Options) -> Result<Linear> {
    let weights = layers.iter().map(|layer| layer.weight()).collect::<Vec<_>>();
    let mut bias = vec![];
    for layer in layers {
        match layer.bias() {
            Some(values) => bias.extend(values.to_vec1::<f32>()?),
            None => bias.resize(bias.len() + layer.weight().dim(0)?, 0.0),
        }
    }
    let weight = Tensor::cat(&weights, 0)?;
    let (outputs, inputs) = weight.dims2()?;
    with_values(&weight, |weight| {
        let Some(cells) = cells else {
            return Linear::new(options, inputs, outputs, &bias, |k, o| weight[o * inputs + k]);
        };
        let channels = inputs / cells;
        let stride = channel_stride(channels);
        let at = |k: usize, o: usize| match k % stride {
            c if c < channels => weight[o * inputs + c * cells + k / stride],
            _ => 0.0,
        };
        Linear::new(options, cells * stride, outputs, &bias, at)
    })
}

#[derive(Debug)]
pub(super) struct MaskHead {
    pooler: Pooler,
    convs: Vec<Layer>,
    /// The transposed convolution: for each cell the four that come of it.
    deconv: Linear,
    /// Channels of these four, with their padding.
    width: usize,
    predictor: Linear,
    class_agnostic: bool,
}

impl MaskHead {
    pub fn pack(head: roi_heads::MaskHead, options: Options) -> Result<Self> {
        let roi_heads::MaskHead { pooler, convs, deconv, predictor, class_agnostic } = head;
        let (inputs, outputs, _, _) = deconv.weight().dims4()?;
        let bias = deconv.bias().map(|b| b.to_vec1::<f32>()).transpose()?.unwrap_or_else(|| vec![0.0; outputs]);
        let width = channel_stride(outputs);
        let padded: Vec<f32> = (0..4 * width).map(|o| bias.get(o % width).copied().unwrap_or(0.0)).collect();
        let deconv = with_values(deconv.weight(), |weight| {
            let at = |k: usize, o: usize| match o % width {
                channel if channel < outputs => weight[(k * outputs + channel) * 4 + o / width],
                _ => 0.0,
            };
            Linear::new(options, inputs, 4 * width, &padded, at)
        })?;
        let predictor = with_filters(&predictor, |f| {
            let at = |k: usize, o: usize| if k < f.input { f.weight[o * f.input + k] } else { 0.0 };
            Linear::new(options, width, f.output, f.bias, at)
        })?;
        let convs = convs.into_iter().map(|conv| Layer::pack(conv, options)).collect::<Result<_>>()?;
        Ok(Self { pooler, convs, deconv, width, predictor, class_agnostic })
    }

    /// Mask probabilities of each instance's own class, as [N, 2R, 2R] row by row.
    pub fn run(&self, features: &[FeatureMap], instances: &Instances, watch: &mut Watch<'_>) -> Result<Vec<Vec<f32>>> {
        let mut masks = Vec::with_capacity(instances.boxes.len());
        for (boxes, classes) in instances.boxes.chunks(MASK_CHUNK).zip(instances.classes.chunks(MASK_CHUNK)) {
            let mut x = pool(&self.pooler, features, boxes);
            watch.mark("RoIAlign");
            for conv in &self.convs {
                watch.check_cancelled()?;
                x = conv.forward(&x, PostOps::relu())?;
            }
            let (count, side) = (x.count, self.pooler.resolution);
            let x = self.deconv.forward(&x, true).reshape(count * side * side * 4, 1, 1, self.width);
            let predictions = self.predictor.forward(&x, false);
            for (i, &class) in classes.iter().enumerate() {
                let channel = if self.class_agnostic { 0 } else { class };
                let cells = (0..side * 2).flat_map(|y| (0..side * 2).map(move |x| (y, x)));
                let value = |(y, x): (usize, usize)| {
                    let cell = (i * side + y / 2) * side + x / 2;
                    let logit = predictions.data()[(cell * 4 + y % 2 * 2 + x % 2) * predictions.stride + channel];
                    1.0 / (1.0 + (-logit).exp())
                };
                masks.push(cells.map(value).collect());
            }
            watch.mark("mask head");
        }
        Ok(masks)
    }

    /// The side of the masks, in cells.
    pub fn side(&self) -> usize {
        self.pooler.resolution * 2
    }
}
