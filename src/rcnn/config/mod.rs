//! The part of a Detectron2 `config.yaml` (`cfg.dump()`) that inference reads.
//!
//! Missing keys take Detectron2's defaults (`detectron2/config/defaults.py`), other keys are ignored.

mod defaults;

use std::path::Path;

use serde::Deserialize;

use super::{Error, Result};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct Config {
    pub input: Input,
    pub model: ModelConfig,
    pub test: Test,
    #[serde(rename = "_BASE_")]
    base: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct Input {
    pub format: ChannelOrder,
    /// Length of the shortest edge after resizing, in pixels; 0 leaves the image as it is.
    pub min_size_test: u32,
    /// The longest edge never passes this, in pixels.
    pub max_size_test: u32,
}

/// The order of the channels that the network was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChannelOrder {
    Bgr,
    Rgb,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct ModelConfig {
    pub meta_architecture: String,
    pub mask_on: bool,
    pub keypoint_on: bool,
    pub pixel_mean: Vec<f32>,
    pub pixel_std: Vec<f32>,
    pub backbone: Backbone,
    pub resnets: Resnets,
    pub fpn: Fpn,
    pub proposal_generator: ProposalGenerator,
    pub anchor_generator: AnchorGenerator,
    pub rpn: Rpn,
    pub roi_heads: RoiHeads,
    pub roi_box_head: RoiBoxHead,
    pub roi_mask_head: RoiMaskHead,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct Backbone {
    pub name: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct Resnets {
    pub depth: u32,
    pub norm: String,
    pub num_groups: usize,
    pub width_per_group: usize,
    pub stem_out_channels: usize,
    pub res2_out_channels: usize,
    pub stride_in_1x1: bool,
    pub res5_dilation: usize,
    pub deform_on_per_stage: Vec<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct Fpn {
    pub in_features: Vec<String>,
    pub out_channels: usize,
    pub norm: String,
    pub fuse_type: FuseType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FuseType {
    Sum,
    Avg,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct ProposalGenerator {
    pub name: String,
    /// Proposals with a side of this or less, in pixels of the resized image, are dropped.
    pub min_size: f32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct AnchorGenerator {
    pub name: String,
    pub sizes: Vec<Vec<f32>>,
    pub aspect_ratios: Vec<Vec<f32>>,
    pub offset: f32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct Rpn {
    pub head_name: String,
    pub in_features: Vec<String>,
    pub conv_dims: Vec<i64>,
    pub bbox_reg_weights: [f32; 4],
    pub nms_thresh: f32,
    pub pre_nms_topk_test: usize,
    pub post_nms_topk_test: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct RoiHeads {
    pub name: String,
    pub num_classes: usize,
    pub in_features: Vec<String>,
    pub score_thresh_test: f32,
    pub nms_thresh_test: f32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct RoiBoxHead {
    pub name: String,
    pub num_conv: usize,
    pub conv_dim: usize,
    pub num_fc: usize,
    pub fc_dim: usize,
    pub norm: String,
    pub pooler_type: String,
    pub pooler_resolution: usize,
    pub pooler_sampling_ratio: usize,
    pub cls_agnostic_bbox_reg: bool,
    pub bbox_reg_weights: [f32; 4],
    pub use_sigmoid_ce: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct RoiMaskHead {
    pub name: String,
    pub num_conv: usize,
    pub conv_dim: usize,
    pub norm: String,
    pub pooler_type: String,
    pub pooler_resolution: usize,
    pub pooler_sampling_ratio: usize,
    pub cls_agnostic_mask: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct Test {
    pub detections_per_image: usize,
}

impl Config {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
        Self::parse(&text).map_err(|e| match e {
            Error::Config(reason) => Error::file(path, reason),
            other => other,
        })
    }

    /// Parses the text of a `config.yaml` and checks its numbers; parts that do not run are refused as the network is loaded.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = serde_yaml_ng::from_str(text).map_err(|e| Error::Config(e.to_string()))?;
        if let Some(base) = &config.base {
            return Err(Error::Config(format!(
                "builds on _BASE_ {base}; write the whole configuration with `open(\"config.yaml\", \"w\").write(cfg.dump())`"
            )));
        }
        config.check()?;
        Ok(config)
    }

    /// Ranges of values; what is put together, each part of the network checks for itself as it is loaded.
    fn check(&self) -> Result<()> {
        let m = &self.model;
        if m.pixel_mean.len() != 3 || m.pixel_std.len() != 3 {
            return Err(Error::Config("MODEL.PIXEL_MEAN and PIXEL_STD need three values".into()));
        }
        for (key, value, low, high) in [
            ("INPUT.MIN_SIZE_TEST", self.input.min_size_test as usize, 0, 4096),
            ("INPUT.MAX_SIZE_TEST", self.input.max_size_test as usize, 1, 8192),
            ("MODEL.RPN.PRE_NMS_TOPK_TEST", m.rpn.pre_nms_topk_test, 1, 100_000),
            ("MODEL.RPN.POST_NMS_TOPK_TEST", m.rpn.post_nms_topk_test, 1, 20_000),
            ("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", m.roi_box_head.pooler_resolution, 1, 64),
            ("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", m.roi_box_head.pooler_sampling_ratio, 0, 16),
            ("MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION", m.roi_mask_head.pooler_resolution, 1, 64),
            ("MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO", m.roi_mask_head.pooler_sampling_ratio, 0, 16),
            ("MODEL.ROI_HEADS.NUM_CLASSES", m.roi_heads.num_classes, 1, 10_000),
            ("TEST.DETECTIONS_PER_IMAGE", self.test.detections_per_image, 1, 10_000),
        ] {
            if !(low..=high).contains(&value) {
                return Err(Error::Config(format!("{key} is {value}; it must be between {low} and {high}")));
            }
        }
        Ok(())
    }
}

/// Refuses a name that is not the one that runs.
pub(super) fn only(key: &'static str, value: &str, supported: &'static str) -> Result<()> {
    unsupported(value != supported, key, value, supported)
}

pub(super) fn unsupported(is: bool, key: &'static str, value: &str, supported: &'static str) -> Result<()> {
    if is {
        let value = value.to_owned();
        return Err(Error::Unsupported { key, value, supported });
    }
    Ok(())
}
