//! Box and mask heads (`detectron2/modeling/roi_heads`).

mod box_head;
mod mask_head;

pub use self::box_head::BoxHead;
#[cfg(all(test, feature = "cuda"))]
pub use self::box_head::BoxPredictions;
#[cfg(feature = "cuda")]
pub use self::box_head::Selection;
pub use self::mask_head::MaskHead;
use super::Result;
use super::config::{ModelConfig, only, unsupported};

/// `MODEL.ROI_HEADS.NAME`: what looks at proposals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoiHeads {
    /// A box head and, with `MASK_ON`, a mask head side by side.
    Standard,
}

impl RoiHeads {
    /// # Errors
    /// [`super::Error::Unsupported`] with the key of what does not run.
    pub fn of(cfg: &ModelConfig) -> Result<Self> {
        only("MODEL.ROI_HEADS.NAME", &cfg.roi_heads.name, "StandardROIHeads")?;
        only("MODEL.ROI_BOX_HEAD.NAME", &cfg.roi_box_head.name, "FastRCNNConvFCHead")?;
        only("MODEL.ROI_BOX_HEAD.POOLER_TYPE", &cfg.roi_box_head.pooler_type, "ROIAlignV2")?;
        unsupported(cfg.keypoint_on, "MODEL.KEYPOINT_ON", "true", "boxes and masks")?;
        let sigmoid = cfg.roi_box_head.use_sigmoid_ce;
        unsupported(sigmoid, "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE", "true", "softmax scores")?;
        if cfg.mask_on {
            only("MODEL.ROI_MASK_HEAD.NAME", &cfg.roi_mask_head.name, "MaskRCNNConvUpsampleHead")?;
            only("MODEL.ROI_MASK_HEAD.POOLER_TYPE", &cfg.roi_mask_head.pooler_type, "ROIAlignV2")?;
        }
        Ok(Self::Standard)
    }
}
