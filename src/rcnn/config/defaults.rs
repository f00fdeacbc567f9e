//! Detectron2's default values (`detectron2/config/defaults.py`) for keys that a `config.yaml` leaves out.

use super::*;

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|&n| n.to_owned()).collect()
}

impl Default for Input {
    fn default() -> Self {
        Self { format: ChannelOrder::Bgr, min_size_test: 800, max_size_test: 1333 }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            meta_architecture: "GeneralizedRCNN".into(),
            mask_on: false,
            keypoint_on: false,
            pixel_mean: vec![103.53, 116.28, 123.675],
            pixel_std: vec![1.0; 3],
            backbone: Default::default(),
            resnets: Default::default(),
            fpn: Default::default(),
            proposal_generator: Default::default(),
            anchor_generator: Default::default(),
            rpn: Default::default(),
            roi_heads: Default::default(),
            roi_box_head: Default::default(),
            roi_mask_head: Default::default(),
        }
    }
}

impl Default for Backbone {
    fn default() -> Self {
        Self { name: "build_resnet_backbone".into() }
    }
}

impl Default for Resnets {
    fn default() -> Self {
        Self {
            depth: 50,
            norm: "FrozenBN".into(),
            num_groups: 1,
            width_per_group: 64,
            stem_out_channels: 64,
            res2_out_channels: 256,
            stride_in_1x1: true,
            res5_dilation: 1,
            deform_on_per_stage: vec![false; 4],
        }
    }
}

impl Default for Fpn {
    fn default() -> Self {
        Self { in_features: vec![], out_channels: 256, norm: String::new(), fuse_type: FuseType::Sum }
    }
}

impl Default for ProposalGenerator {
    fn default() -> Self {
        Self { name: "RPN".into(), min_size: 0.0 }
    }
}

impl Default for AnchorGenerator {
    fn default() -> Self {
        Self {
            name: "DefaultAnchorGenerator".into(),
            sizes: vec![vec![32.0, 64.0, 128.0, 256.0, 512.0]],
            aspect_ratios: vec![vec![0.5, 1.0, 2.0]],
            offset: 0.0,
        }
    }
}

impl Default for Rpn {
    fn default() -> Self {
        Self {
            head_name: "StandardRPNHead".into(),
            in_features: strings(&["res4"]),
            conv_dims: vec![-1],
            bbox_reg_weights: [1.0; 4],
            nms_thresh: 0.7,
            pre_nms_topk_test: 6000,
            post_nms_topk_test: 1000,
        }
    }
}

impl Default for RoiHeads {
    fn default() -> Self {
        Self {
            name: "Res5ROIHeads".into(),
            num_classes: 80,
            in_features: strings(&["res4"]),
            score_thresh_test: 0.05,
            nms_thresh_test: 0.5,
        }
    }
}

impl Default for RoiBoxHead {
    fn default() -> Self {
        Self {
            name: String::new(),
            num_conv: 0,
            conv_dim: 256,
            num_fc: 0,
            fc_dim: 1024,
            norm: String::new(),
            pooler_type: "ROIAlignV2".into(),
            pooler_resolution: 14,
            pooler_sampling_ratio: 0,
            cls_agnostic_bbox_reg: false,
            bbox_reg_weights: [10.0, 10.0, 5.0, 5.0],
            use_sigmoid_ce: false,
        }
    }
}

impl Default for RoiMaskHead {
    fn default() -> Self {
        Self {
            name: "MaskRCNNConvUpsampleHead".into(),
            num_conv: 0,
            conv_dim: 256,
            norm: String::new(),
            pooler_type: "ROIAlignV2".into(),
            pooler_resolution: 14,
            pooler_sampling_ratio: 0,
            cls_agnostic_mask: false,
        }
    }
}

impl Default for Test {
    fn default() -> Self {
        Self { detections_per_image: 100 }
    }
}
