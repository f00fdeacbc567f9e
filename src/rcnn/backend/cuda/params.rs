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

/// Structs with the fields of their C++ twins, in the same order.
macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default)]
        #[repr(C)]
        pub struct $name {
            $(pub $field: $type,)*
        }

        // SAFETY: plain numbers, as the kernels declare them; sizes are compared at each call of a twin.
        unsafe impl Params for $name {}
    )*};
}

params! {
    /// Of `resize_horizontal` and `resize_vertical`.
    ResizeParams {
        input: u64,
        output: u64,
        starts: u64,
        offsets: u64,
        weights: u64,
        height: i32,
        width: i32,
        target: i32,
    }

    ProposalLevel {
        predictions: u64,
        anchors: u64,
        height: i32,
        width: i32,
        stride: i32,
        step: f32,
    }

    ProposalsTopkParams {
        level: [ProposalLevel; 8],
        sizes: u64,
        boxes: u64,
        scores: u64,
        counts: u64,
        levels: i32,
        anchors: i32,
        cap: i32,
        offset: f32,
        min_size: f32,
        weights: [f32; 4],
    }

    ProposalsMergeParams {
        boxes: u64,
        scores: u64,
        kept: u64,
        kept_counts: u64,
        rois: u64,
        roi_scores: u64,
        roi_counts: u64,
        levels: i32,
        cap: i32,
        most: i32,
        post: i32,
    }

    NmsMaskParams {
        boxes: u64,
        groups: u64,
        counts: u64,
        mask: u64,
        cap: i32,
        threshold: f32,
    }

    NmsScanParams {
        counts: u64,
        mask: u64,
        kept: u64,
        kept_counts: u64,
        cap: i32,
        most: i32,
    }

    /// Of `roi_align_f32`, `roi_align_f16` and `roi_align_bf16`.
    RoiAlignParams {
        maps: [u64; 4],
        heights: [i32; 4],
        widths: [i32; 4],
        scales: [f32; 4],
        rois: u64,
        images: u64,
        counts: u64,
        output: u64,
        per_image: i32,
        channels: i32,
        resolution: i32,
        sampling_ratio: i32,
    }

    ClassScoresParams {
        predictions: u64,
        scores: u64,
        classes: i32,
        deltas: i32,
        stride: i32,
    }

    DetectionsTopkParams {
        rois: u64,
        roi_counts: u64,
        scores: u64,
        predictions: u64,
        sizes: u64,
        boxes: u64,
        out_scores: u64,
        out_classes: u64,
        counts: u64,
        post: i32,
        classes: i32,
        stride: i32,
        class_agnostic: i32,
        cap: i32,
        threshold: f32,
        weights: [f32; 4],
    }

    DetectionsGatherParams {
        boxes: u64,
        scores: u64,
        classes: u64,
        kept: u64,
        kept_counts: u64,
        out_boxes: u64,
        out_scores: u64,
        out_classes: u64,
        cap: i32,
        most: i32,
    }

    MaskRoisParams {
        boxes: u64,
        classes: u64,
        counts: u64,
        out_boxes: u64,
        out_images: u64,
        out_classes: u64,
        total: u64,
        images: i32,
        most: i32,
    }

    MaskProbabilitiesParams {
        logits: u64,
        classes: u64,
        output: u64,
        resolution: i32,
        stride: i32,
    }

    MaskRunsParams {
        masks: u64,
        boxes: u64,
        images: u64,
        total: u64,
        sizes: u64,
        originals: u64,
        bounds: u64,
        taken: u64,
        ranges: u64,
        side: i32,
        capacity: i32,
    }

    StemRows {
        input: u64,
        output: u64,
        height: i32,
        width: i32,
        out_height: i32,
        out_width: i32,
        order: [i32; 3],
        mean: [f32; 3],
        deviation: [f32; 3],
        row: i32,
        first: i64,
    }

    Im2col {
        input: u64,
        output: u64,
        height: i32,
        width: i32,
        channels: i32,
        out_height: i32,
        out_width: i32,
        kernel: i32,
        stride: i32,
        padding: i32,
        groups: i32,
        unused: i32,
        first: i64,
    }

    Winograd {
        map: u64,
        tiles: u64,
        bias: u64,
        height: i32,
        width: i32,
        channels: i32,
        down: i32,
        across: i32,
        relu: i32,
        first: i64,
        count: i64,
    }

    Finish {
        map: u64,
        bias: u64,
        add: u64,
        moments: u64,
        affine: u64,
        channels: i32,
        relu: i32,
        pixels: i32,
        of_group: i32,
        groups: i32,
        unused: i32,
    }

    Moments {
        map: u64,
        moments: u64,
        pixels: i32,
        channels: i32,
        of_group: i32,
        groups: i32,
        epsilon: f32,
        threads: i32,
    }

    MaxPool {
        input: u64,
        output: u64,
        height: i32,
        width: i32,
        channels: i32,
        out_height: i32,
        out_width: i32,
        unused: i32,
    }

    UpsampleAdd {
        coarse: u64,
        fine: u64,
        height: i32,
        width: i32,
        channels: i32,
        coarse_height: i32,
        coarse_width: i32,
        factor: f32,
    }

    Convert {
        input: u64,
        output: u64,
    }
}
