//! The keys that inference reads, with Detectron2's defaults (`detectron2/config/defaults.py`) for those that a `config.yaml` leaves out.

use serde::Deserialize;

/// A struct for each section of the configuration: its keys in lower case, their types and defaults.
macro_rules! sections {
    ($($section:ident { $($(#[$doc:meta])* $key:ident: $type:ty = $default:expr,)* })*) => {$(
        #[derive(Debug, Clone, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
        pub struct $section {
            $($(#[$doc])* pub $key: $type,)*
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }
    )*};
}

sections! {
    Input {
        format: ChannelOrder = ChannelOrder::Bgr,
        /// Length of the shortest edge after resizing, in pixels; 0 leaves the image as it is.
        min_size_test: u32 = 800,
        /// The longest edge never passes this, in pixels.
        max_size_test: u32 = 1333,
    }

    ModelConfig {
        meta_architecture: String = "GeneralizedRCNN".into(),
        mask_on: bool = false,
        keypoint_on: bool = false,
        pixel_mean: Vec<f32> = vec![103.53, 116.28, 123.675],
        pixel_std: Vec<f32> = vec![1.0; 3],
        backbone: Backbone = Backbone::default(),
        resnets: Resnets = Resnets::default(),
        fpn: Fpn = Fpn::default(),
        proposal_generator: ProposalGenerator = ProposalGenerator::default(),
        anchor_generator: AnchorGenerator = AnchorGenerator::default(),
        rpn: Rpn = Rpn::default(),
        roi_heads: RoiHeads = RoiHeads::default(),
        roi_box_head: RoiBoxHead = RoiBoxHead::default(),
        roi_mask_head: RoiMaskHead = RoiMaskHead::default(),
    }

    Backbone {
        name: String = "build_resnet_backbone".into(),
    }

    Resnets {
        depth: u32 = 50,
        norm: String = "FrozenBN".into(),
        num_groups: usize = 1,
        width_per_group: usize = 64,
        stem_out_channels: usize = 64,
        res2_out_channels: usize = 256,
        stride_in_1x1: bool = true,
        res5_dilation: usize = 1,
        deform_on_per_stage: Vec<bool> = vec![false; 4],
    }

    Fpn {
        in_features: Vec<String> = vec![],
        out_channels: usize = 256,
        norm: String = String::new(),
        fuse_type: FuseType = FuseType::Sum,
    }

    ProposalGenerator {
        name: String = "RPN".into(),
        /// Proposals with a side of this or less, in pixels of the resized image, are dropped.
        min_size: f32 = 0.0,
    }

    AnchorGenerator {
        name: String = "DefaultAnchorGenerator".into(),
        sizes: Vec<Vec<f32>> = vec![vec![32.0, 64.0, 128.0, 256.0, 512.0]],
        aspect_ratios: Vec<Vec<f32>> = vec![vec![0.5, 1.0, 2.0]],
        offset: f32 = 0.0,
    }

    Rpn {
        head_name: String = "StandardRPNHead".into(),
        in_features: Vec<String> = vec!["res4".into()],
        conv_dims: Vec<i64> = vec![-1],
        bbox_reg_weights: [f32; 4] = [1.0; 4],
        nms_thresh: f32 = 0.7,
        pre_nms_topk_test: usize = 6000,
        post_nms_topk_test: usize = 1000,
    }

    RoiHeads {
        name: String = "Res5ROIHeads".into(),
        num_classes: usize = 80,
        in_features: Vec<String> = vec!["res4".into()],
        score_thresh_test: f32 = 0.05,
        nms_thresh_test: f32 = 0.5,
    }

    RoiBoxHead {
        name: String = String::new(),
        num_conv: usize = 0,
        conv_dim: usize = 256,
        num_fc: usize = 0,
        fc_dim: usize = 1024,
        norm: String = String::new(),
        pooler_type: String = "ROIAlignV2".into(),
        pooler_resolution: usize = 14,
        pooler_sampling_ratio: usize = 0,
        cls_agnostic_bbox_reg: bool = false,
        bbox_reg_weights: [f32; 4] = [10.0, 10.0, 5.0, 5.0],
        use_sigmoid_ce: bool = false,
    }

    RoiMaskHead {
        name: String = "MaskRCNNConvUpsampleHead".into(),
        num_conv: usize = 0,
        conv_dim: usize = 256,
        norm: String = String::new(),
        pooler_type: String = "ROIAlignV2".into(),
        pooler_resolution: usize = 14,
        pooler_sampling_ratio: usize = 0,
        cls_agnostic_mask: bool = false,
    }

    Test {
        detections_per_image: usize = 100,
    }
}

/// The order of the channels that the network was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChannelOrder {
    Bgr,
    Rgb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FuseType {
    Sum,
    Avg,
}
