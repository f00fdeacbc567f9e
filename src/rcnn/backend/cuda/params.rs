//! What kernels are given: the structs of kernels/*.cuh, where fields are explained, and what their blocks share.

use super::runtime::Params;

/// Bytes that a block of `proposals_topk`, `proposals_merge` and `detections_topk` shares.
pub const TOP_K_SHARED: usize = 41_256;
/// Bytes that a block of `nms_scan` shares.
pub const NMS_SCAN_SHARED: usize = 1_040;
/// Bytes that a block of `mask_runs` shares.
pub const MASK_RUNS_SHARED: usize = 16_648;

/// Threads of a block that selects.
pub const THREADS: u32 = 1024;
/// At most so many are selected by a block, or suppress each other.
pub const TOP_K_MOST: usize = 4096;
/// Boxes that a word of `nms_mask` is about.
pub const NMS_BITS: usize = 64;

/// Of `resize_horizontal` and `resize_vertical`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ResizeParams {
    pub input: u64,
    pub output: u64,
    pub starts: u64,
    pub offsets: u64,
    pub weights: u64,
    pub height: i32,
    pub width: i32,
    pub target: i32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ProposalLevel {
    pub predictions: u64,
    pub anchors: u64,
    pub height: i32,
    pub width: i32,
    pub stride: i32,
    pub step: f32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ProposalsTopkParams {
    pub level: [ProposalLevel; 8],
    pub sizes: u64,
    pub boxes: u64,
    pub scores: u64,
    pub counts: u64,
    pub levels: i32,
    pub anchors: i32,
    pub cap: i32,
    pub offset: f32,
    pub min_size: f32,
    pub weights: [f32; 4],
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ProposalsMergeParams {
    pub boxes: u64,
    pub scores: u64,
    pub kept: u64,
    pub kept_counts: u64,
    pub rois: u64,
    pub roi_scores: u64,
    pub roi_counts: u64,
    pub levels: i32,
    pub cap: i32,
    pub most: i32,
    pub post: i32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct NmsMaskParams {
    pub boxes: u64,
    pub groups: u64,
    pub counts: u64,
    pub mask: u64,
    pub cap: i32,
    pub threshold: f32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct NmsScanParams {
    pub counts: u64,
    pub mask: u64,
    pub kept: u64,
    pub kept_counts: u64,
    pub cap: i32,
    pub most: i32,
}

/// Of `roi_align_f32`, `roi_align_f16` and `roi_align_bf16`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct RoiAlignParams {
    pub maps: [u64; 4],
    pub heights: [i32; 4],
    pub widths: [i32; 4],
    pub scales: [f32; 4],
    pub rois: u64,
    pub images: u64,
    pub counts: u64,
    pub output: u64,
    pub per_image: i32,
    pub channels: i32,
    pub resolution: i32,
    pub sampling_ratio: i32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ClassScoresParams {
    pub predictions: u64,
    pub scores: u64,
    pub classes: i32,
    pub deltas: i32,
    pub stride: i32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct DetectionsTopkParams {
    pub rois: u64,
    pub roi_counts: u64,
    pub scores: u64,
    pub predictions: u64,
    pub sizes: u64,
    pub boxes: u64,
    pub out_scores: u64,
    pub out_classes: u64,
    pub counts: u64,
    pub post: i32,
    pub classes: i32,
    pub stride: i32,
    pub class_agnostic: i32,
    pub cap: i32,
    pub threshold: f32,
    pub weights: [f32; 4],
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct DetectionsGatherParams {
    pub boxes: u64,
    pub scores: u64,
    pub classes: u64,
    pub kept: u64,
    pub kept_counts: u64,
    pub out_boxes: u64,
    pub out_scores: u64,
    pub out_classes: u64,
    pub cap: i32,
    pub most: i32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct MaskRoisParams {
    pub boxes: u64,
    pub classes: u64,
    pub counts: u64,
    pub out_boxes: u64,
    pub out_images: u64,
    pub out_classes: u64,
    pub total: u64,
    pub images: i32,
    pub most: i32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct MaskProbabilitiesParams {
    pub logits: u64,
    pub classes: u64,
    pub output: u64,
    pub resolution: i32,
    pub stride: i32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct MaskRunsParams {
    pub masks: u64,
    pub boxes: u64,
    pub images: u64,
    pub total: u64,
    pub sizes: u64,
    pub originals: u64,
    pub bounds: u64,
    pub taken: u64,
    pub ranges: u64,
    pub side: i32,
    pub capacity: i32,
}

macro_rules! params {
    ($($name:ident)*) => {
        // SAFETY: plain numbers, in the order of the C++ structs.
        $(unsafe impl Params for $name {})*
    };
}

params! {
    ResizeParams ProposalsTopkParams ProposalsMergeParams NmsMaskParams NmsScanParams RoiAlignParams ClassScoresParams
    DetectionsTopkParams DetectionsGatherParams MaskRoisParams MaskProbabilitiesParams MaskRunsParams
}
