//! The network on an NVIDIA GPU: kernels of ours (`kernels/`, CUDA C++) around the matrix products of cuBLASLt.
//!
//! Maps are channels last. A page's pixels are copied there once and its detections copied back; between them the host reads one number
//! a batch, how many detections there are, since masks of all that are possible would cost several times those that are there.
//! What is built here runs on the kernels' twins on the CPU as well ([`Cuda::twin`]), which is how it is tested where no GPU is.

mod backbone;
mod conv;
mod dense;
mod dtype;
mod error;
mod gpu;
mod heads;
mod input;
mod layer;
mod masks;
mod matmul;
mod params;
mod runtime;
mod twin;
#[cfg(test)]
mod twin_tests;

use std::sync::Arc;

use candle_nn::VarBuilder;
use image::RgbImage;

use self::backbone::Backbone;
use self::dtype::Dtype;
pub(super) use self::dtype::Precision;
use self::gpu::Gpu;
use self::heads::{BoxHead, Found, RpnHead};
use self::input::Input;
use self::layer::Ops;
use self::masks::MaskHead;
use self::runtime::Context;
use super::boxes::rescale;
use super::config::Config;
use super::gpu_info::GpuInfo;
use super::model::Detection;
use super::resnet::Convert;
use super::{Result, Stop, check_cancelled, fpn, roi_heads, rpn};

#[derive(Debug)]
pub(super) struct Cuda {
    /// Of the box and the mask head.
    ops: Ops,
    /// Of what comes before them: f32, or the same.
    rpn_ops: Ops,
    gpu: Option<Arc<Gpu>>,
    input: Input,
    backbone: Backbone,
    rpn: RpnHead,
    box_head: BoxHead,
    mask_head: Option<MaskHead>,
}

/// Why there is no GPU to be used, in a sentence with the remedy; `None` if there is one.
pub(super) fn missing() -> Option<String> {
    gpu::missing()
}

/// The GPU of that number.
pub(super) fn info(ordinal: usize) -> Result<GpuInfo> {
    Gpu::open(ordinal)?.info()
}

impl Cuda {
    /// On the GPU of that number.
    pub fn load(config: &Config, vb: VarBuilder, ordinal: usize, precision: Precision) -> Result<Self> {
        let gpu = Arc::new(Gpu::open(ordinal)?);
        Self::on(config, vb, Context(gpu.clone()), Some(gpu), precision)
    }

    /// On the kernels' twins: slow, for tests.
    pub fn twin(config: &Config, vb: VarBuilder, precision: Precision) -> Result<Self> {
        Self::on(config, vb, Context(Arc::new(twin::TwinRuntime::default())), None, precision)
    }

    fn on(
        config: &Config,
        vb: VarBuilder,
        context: Context,
        gpu: Option<Arc<Gpu>>,
        precision: Precision,
    ) -> Result<Self> {
        let ops = Ops { context, dtype: precision.heads };
        let rpn_ops = Ops { dtype: precision.rpn, ..ops.clone() };
        let layer = |conv| layer::Layer::pack(&rpn_ops, &conv);
        let stem = |conv| layer::Layer::pack_stem(&rpn_ops, &conv);
        let fpn = fpn::Fpn::load(&config.model, vb.pp("backbone"), &Convert { stem: &stem, layer: &layer })?;
        let rpn = RpnHead::pack(&rpn_ops, rpn::Rpn::load(&config.model, vb.pp("proposal_generator"))?)?;
        let roi_heads = vb.pp("roi_heads");
        let box_head = BoxHead::pack(&ops, roi_heads::BoxHead::load(config, roi_heads.clone())?)?;
        let mask_head = match config.model.mask_on {
            true => Some(MaskHead::pack(&ops, roi_heads::MaskHead::load(&config.model, roi_heads)?)?),
            false => None,
        };
        Ok(Self {
            gpu,
            input: Input::new(config),
            backbone: Backbone::new(fpn),
            rpn,
            box_head,
            mask_head,
            ops,
            rpn_ops,
        })
    }

    pub fn info(&self) -> Result<Option<GpuInfo>> {
        self.gpu.as_ref().map(|gpu| gpu.info()).transpose()
    }

    /// Bytes of the GPU's memory that were in use at most.
    pub fn peak_memory(&self) -> usize {
        self.ops.context.0.peak()
    }

    /// Detections with scores above `threshold`, best first, of images that all have the same size.
    pub fn run(
        &self,
        images: &[&RgbImage],
        threshold: f32,
        stop: Stop<'_>,
        mark: &mut (dyn FnMut(&'static str) + Send),
    ) -> Result<Vec<Vec<Detection>>> {
        let ops = &self.ops;
        ops.context.0.enter()?;
        let input = self.input.load(ops, images)?;
        check_cancelled(stop)?;
        let mut features = self.backbone.forward(&self.rpn_ops, &self.input, &input)?;
        check_cancelled(stop)?;
        let proposals = self.rpn.forward(&self.rpn_ops, &features, &input)?;
        if self.rpn_ops.dtype != ops.dtype {
            features = features.into_iter().map(|map| ops.convert(&map)).collect::<Result<_>>()?;
        }
        let found = self.box_head.forward(ops, &features, &proposals, &input, threshold)?;
        drop(proposals);
        // The first wait: what the host has done until here took less time than the GPU needs for it.
        let counts = found.counts(ops)?;
        mark("network");
        check_cancelled(stop)?;
        let masks = match &self.mask_head {
            Some(head) => Some(head.forward(ops, &features, &found, &counts, &input)?),
            None => None,
        };
        drop(features);
        mark("masks");
        let detections = found.detections(ops, &counts, masks.as_deref(), &input)?;
        mark("detections");
        Ok(detections)
    }
}

impl Found {
    /// As the model reports them: boxes in pixels of the image that was given, without those that are empty there.
    fn detections(
        &self,
        ops: &Ops,
        counts: &[usize],
        masks: Option<&[super::Rle]>,
        input: &input::Loaded,
    ) -> Result<Vec<Vec<Detection>>> {
        let rows = self.rows(ops, counts)?;
        let mut masks = masks.map(<[_]>::iter);
        let from = (input.size.0 as f32, input.size.1 as f32);
        let to = (input.original.0 as f32, input.original.1 as f32);
        let mut pages = vec![];
        for page in rows {
            let mut detections = vec![];
            for (b, score, class_id) in page {
                let mask = masks.as_mut().and_then(Iterator::next).cloned();
                if let Some(box_px) = rescale(&b, from, to) {
                    detections.push(Detection { class_id, score, box_px, mask });
                }
            }
            pages.push(detections);
        }
        Ok(pages)
    }
}
