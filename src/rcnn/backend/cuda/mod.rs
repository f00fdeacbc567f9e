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

use self::backbone::Pages;
use self::dtype::Dtype;
pub use self::dtype::Precision;
use self::gpu::Gpu;
pub use self::gpu::missing;
use self::input::Input;
use self::layer::Ops;
use self::runtime::{Buffer, Context};
use super::gpu_info::GpuInfo;
use crate::rcnn::backbone::Fpn;
use crate::rcnn::config::Config;
use crate::rcnn::detection::Detection;
use crate::rcnn::network::Network;
use crate::rcnn::proposals::{Proposals, Rpn};
use crate::rcnn::roi_heads::{BoxHead, MaskHead, RoiHeads};
use crate::rcnn::trace::Trace;
use crate::rcnn::{Error, Result, Watch};

#[derive(Debug)]
pub struct Cuda {
    /// Of the box and the mask head.
    ops: Ops,
    /// Of what comes before them: f32, or the same.
    rpn_ops: Ops,
    gpu: Option<Arc<Gpu>>,
    input: Input,
    backbone: Fpn<Ops>,
    rpn: Rpn<Ops>,
    /// Of each level: [anchors, 4] f32 around a cell's place.
    anchors: Vec<Buffer>,
    box_head: BoxHead<Ops>,
    mask_head: Option<MaskHead<Ops>>,
}

/// The GPU of that number.
pub fn info(ordinal: usize) -> Result<GpuInfo> {
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
        let RoiHeads::Standard = RoiHeads::of(&config.model)?;
        let backbone = Fpn::load(&config.model, vb.pp("backbone"), &rpn_ops)?;
        let levels = &backbone.levels;
        let rpn = Rpn::load(&rpn_ops, &config.model, vb.pp("proposal_generator"), levels)?;
        let anchors =
            rpn.decoder.anchors.iter().map(|level| ops.context.upload(&level.cells)).collect::<Result<_>>()?;
        let roi_heads = vb.pp("roi_heads");
        let box_head = BoxHead::load(&ops, config, roi_heads.clone(), levels)?;
        heads::check(&rpn.decoder, &box_head.pooler, &box_head.selection)?;
        let mask_head =
            config.model.mask_on.then(|| MaskHead::load(&ops, &config.model, roi_heads, levels)).transpose()?;
        Ok(Self { gpu, input: Input::new(config), backbone, rpn, anchors, box_head, mask_head, ops, rpn_ops })
    }
}

impl Network for Cuda {
    fn detect(&self, images: &[&RgbImage], threshold: f32, watch: &mut Watch<'_>) -> Result<Vec<Vec<Detection>>> {
        let ops = &self.ops;
        ops.context.0.enter()?;
        let input = self.input.load(ops, images)?;
        watch.check_cancelled()?;
        // What the host asks for is not yet done, so its stages are not marked.
        let silent = &mut Watch { stop: watch.stop, mark: &mut |_| {} };
        let pages = Pages { input: &self.input, loaded: &input };
        let mut features = self.backbone.forward(&self.rpn_ops, pages, silent)?;
        watch.check_cancelled()?;
        let proposals = self.rpn.propose(&self.rpn_ops, &self.anchors, &features, &input)?;
        if self.rpn_ops.dtype != ops.dtype {
            features = features.into_iter().map(|map| ops.convert(&map)).collect::<Result<_>>()?;
        }
        let found = self.box_head.find(ops, &features, &proposals, &input, (threshold, watch))?;
        drop(proposals);
        // The first wait: what the host has done until here took less time than the GPU needs for it.
        let counts = found.counts(ops)?;
        watch.mark("network");
        watch.check_cancelled()?;
        let masks = match &self.mask_head {
            Some(head) => Some(head.find(ops, &features, (&found, &counts), &input, watch)?),
            None => None,
        };
        drop(features);
        watch.mark("masks");
        let detections = found.detections(ops, &counts, masks.as_deref(), &input)?;
        watch.mark("detections");
        Ok(detections)
    }

    fn trace(&self, _: &RgbImage, _: f32, _: Option<&Proposals>) -> Result<Trace> {
        Err(Error::Device { asked: "cuda".into(), reason: "stages are traced on a CPU only".into() })
    }

    fn takes_batches(&self) -> bool {
        true
    }

    fn gpu(&self) -> Option<GpuInfo> {
        self.gpu.as_ref().and_then(|gpu| gpu.info().ok())
    }

    fn gpu_peak_memory(&self) -> usize {
        self.ops.context.0.peak()
    }

    fn backend_name(&self) -> &'static str {
        "CUDA"
    }
}
