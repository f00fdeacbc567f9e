//! The part of a Detectron2 `config.yaml` (`cfg.dump()`) that inference reads.
//!
//! Missing keys take Detectron2's defaults (`detectron2/config/defaults.py`), other keys are ignored.

mod keys;

use std::path::Path;

use serde::Deserialize;

pub use self::keys::*;
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
