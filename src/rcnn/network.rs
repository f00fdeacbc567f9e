//! The layers on candle's tensors, for any of its devices.

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use image::RgbImage;

use super::config::Config;
use super::fpn::Fpn;
use super::image_input::ModelInput;
use super::resnet::Convert;
use super::roi_heads::{BoxHead, Instances, MaskHead};
use super::rpn::Rpn;
use super::{Result, Stop, check_cancelled};

#[derive(Debug)]
pub struct Network {
    pub backbone: Fpn,
    pub rpn: Rpn,
    pub box_head: BoxHead,
    pub mask_head: Option<MaskHead>,
}

/// What a network makes of an image, in pixels of the resized image, and that image's size.
#[derive(Debug)]
pub struct Output {
    pub instances: Instances,
    /// For each instance the probabilities of its mask, `mask_side`² row by row, if the network makes masks.
    pub masks: Option<Vec<Vec<f32>>>,
    pub mask_side: usize,
    pub size: (usize, usize),
}

impl Network {
    pub fn load(config: &Config, vb: VarBuilder) -> Result<Self> {
        let roi_heads = vb.pp("roi_heads");
        Ok(Self {
            backbone: Fpn::load(&config.model, vb.pp("backbone"), &Convert { stem: &Ok, layer: &Ok })?,
            rpn: Rpn::load(&config.model, vb.pp("proposal_generator"))?,
            box_head: BoxHead::load(config, roi_heads.clone())?,
            mask_head: config.model.mask_on.then(|| MaskHead::load(&config.model, roi_heads)).transpose()?,
        })
    }

    pub(super) fn run(&self, image: &RgbImage, config: &Config, threshold: f32, stop: Stop<'_>) -> Result<Output> {
        let input = ModelInput::new(image, config, &Device::Cpu)?;
        let size = (input.width, input.height);
        let features = self.backbone.forward(&input.tensor, stop)?;
        let instances = self.detect(&features, size, threshold, stop)?;
        let masks = self.mask_head.as_ref().map(|head| head.forward(&features, &instances, stop)).transpose()?;
        let mask_side = self.mask_head.as_ref().map_or(0, MaskHead::side);
        Ok(Output { instances, masks, mask_side, size })
    }

    /// Proposals, box head and selection.
    fn detect(&self, features: &[Tensor], size: (usize, usize), threshold: f32, stop: Stop<'_>) -> Result<Instances> {
        let proposals = self.rpn.forward(features, size.0, size.1, stop)?;
        let pooled = self.box_head.pooler.forward(features, &proposals.boxes)?;
        check_cancelled(stop)?;
        let (logits, deltas) = self.box_head.forward(&pooled)?;
        self.box_head.select(&proposals, &logits, &deltas, size, threshold)
    }
}
