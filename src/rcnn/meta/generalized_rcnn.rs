//! Faster and Mask R-CNN (`detectron2/modeling/meta_arch/rcnn.py`, `GeneralizedRCNN`).

use candle_nn::VarBuilder;
use image::RgbImage;

use crate::rcnn::backbone::Fpn;
use crate::rcnn::backend::HostBackend;
use crate::rcnn::config::Config;
use crate::rcnn::detection::{Detection, Instances};
use crate::rcnn::geometry::boxes::rescale;
use crate::rcnn::network::Network;
use crate::rcnn::post::mask;
use crate::rcnn::proposals::{Proposals, Rpn};
use crate::rcnn::roi_heads::{BoxHead, MaskHead, RoiHeads};
use crate::rcnn::trace::{HostTensor, Trace};
use crate::rcnn::{Result, Watch};

/// RoIs of which a trace shows what is pooled.
const TRACED_ROIS: usize = 8;

pub struct GeneralizedRcnn<B: HostBackend> {
    config: Config,
    backend: B,
    backbone: Fpn<B>,
    rpn: Rpn<B>,
    box_head: BoxHead<B>,
    mask_head: Option<MaskHead<B>>,
}

impl<B: HostBackend> GeneralizedRcnn<B> {
    pub fn load(backend: B, config: &Config, vb: VarBuilder) -> Result<Self> {
        let RoiHeads::Standard = RoiHeads::of(&config.model)?;
        let backbone = Fpn::load(&config.model, vb.pp("backbone"), &backend)?;
        let rpn = Rpn::load(&backend, &config.model, vb.pp("proposal_generator"), &backbone.levels)?;
        let roi_heads = vb.pp("roi_heads");
        let box_head = BoxHead::load(&backend, config, roi_heads.clone(), &backbone.levels)?;
        let mask_head = || MaskHead::load(&backend, &config.model, roi_heads, &backbone.levels);
        let mask_head = config.model.mask_on.then(mask_head).transpose()?;
        Ok(Self { config: config.clone(), backend, backbone, rpn, box_head, mask_head })
    }

    fn detect_on(&self, image: &RgbImage, threshold: f32, watch: &mut Watch<'_>) -> Result<Vec<Detection>> {
        let backend = &self.backend;
        let (input, size) = backend.image(image, &self.config)?;
        watch.mark("resize");
        let features = self.backbone.forward(backend, input, watch)?;
        let proposals = self.rpn.forward(backend, &features, size, watch)?;
        let predictions = self.box_head.forward(backend, &features, &proposals.boxes, watch)?;
        let instances = self.box_head.selection.select(&proposals, predictions, size, threshold);
        watch.mark("selection");
        let masks = self.masks(&features, &instances, watch)?;
        drop(features);
        let detections = self.paste(&instances, masks.as_deref(), size, image.dimensions());
        watch.mark("paste");
        Ok(detections)
    }

    /// For each instance the probabilities of its mask, row by row, if the network makes masks.
    fn masks(
        &self,
        features: &[B::Map],
        instances: &Instances,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        self.mask_head.as_ref().map(|head| head.forward(&self.backend, features, instances, watch)).transpose()
    }

    /// From the resized image to the one that was given.
    fn paste(
        &self,
        instances: &Instances,
        masks: Option<&[Vec<f32>]>,
        size: (usize, usize),
        (width, height): (u32, u32),
    ) -> Vec<Detection> {
        let (from, to) = ((size.0 as f32, size.1 as f32), (width as f32, height as f32));
        let side = self.mask_head.as_ref().map_or(0, MaskHead::side);
        let mut detections = vec![];
        for (i, b) in instances.boxes.iter().enumerate() {
            let Some(box_px) = rescale(b, from, to) else { continue };
            let mask = masks.map(|masks| mask::paste(&masks[i], side, &box_px, width, height));
            detections.push(Detection { class_id: instances.classes[i], score: instances.scores[i], box_px, mask });
        }
        detections
    }

    fn host_tensor(&self, x: &B::Map) -> Result<HostTensor> {
        let shape = self.backend.shape(x)?;
        let [n, c, h, w] = shape;
        let host = self.backend.to_host(x)?;
        let at =
            |image: usize, channel: usize, pixel: usize| host.data[(image * h * w + pixel) * host.stride + channel];
        let images = (0..n).flat_map(|image| (0..c).map(move |channel| (image, channel)));
        let data = images.flat_map(|(image, channel)| (0..h * w).map(move |pixel| at(image, channel, pixel))).collect();
        Ok(HostTensor { shape, data })
    }
}

impl<B: HostBackend> Network for GeneralizedRcnn<B> {
    fn detect(&self, images: &[&RgbImage], threshold: f32, watch: &mut Watch<'_>) -> Result<Vec<Vec<Detection>>> {
        // On one of the threads that the layers run on, so that none waits for them outside.
        rayon::scope(|_| images.iter().map(|image| self.detect_on(image, threshold, watch)).collect())
    }

    fn trace(&self, image: &RgbImage, threshold: f32, given: Option<&Proposals>) -> Result<Trace> {
        let backend = &self.backend;
        let watch = &mut Watch { stop: &|| false, mark: &mut |_| {} };
        let (input, size) = backend.image(image, &self.config)?;
        let features = self.backbone.forward(backend, input, watch)?;
        let proposals = self.rpn.forward(backend, &features, size, watch)?;
        let used = given.unwrap_or(&proposals);
        let some = &used.boxes[..used.boxes.len().min(TRACED_ROIS)];
        let box_pooled = self.host_tensor(&backend.roi_align(&self.box_head.pooler, &features, some)?)?;
        let predictions = self.box_head.forward(backend, &features, &used.boxes, watch)?;
        let (box_logits, box_deltas) = (predictions.logits.concat(), predictions.deltas.concat());
        let instances = self.box_head.selection.select(used, predictions, size, threshold);
        Ok(Trace {
            features: features.iter().map(|map| self.host_tensor(map)).collect::<Result<_>>()?,
            masks: self.masks(&features, &instances, watch)?,
            box_pooled,
            box_logits,
            box_deltas,
            instances,
            proposals,
        })
    }

    fn work(&self) -> u64 {
        self.backend.work()
    }

    fn backend_name(&self) -> &'static str {
        self.backend.name()
    }
}
