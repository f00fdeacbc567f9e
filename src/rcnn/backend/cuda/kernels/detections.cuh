// From the box head's predictions to detections, as in roi_heads.rs: `class_scores`, `detections_topk`, nms.cuh,
// `detections_gather`.
#pragma once
#include "boxes.cuh"
#include "select.cuh"

struct ClassScoresParams {
    // [R, stride] f32: logits of the classes and the background, then `deltas` deltas.
    uint64_t predictions;
    // [R, classes + 1] f32
    uint64_t scores;
    int classes, deltas, stride;
};

// An item for each RoI: its softmax; zeros if a score or a delta is not finite.
HD void class_scores(const ClassScoresParams& p, long item) {
    const float* logits = (const float*)p.predictions + item * p.stride;
    const int n = p.classes + 1;
    float* scores = (float*)p.scores + item * n;
    float largest = -INFINITY, sum = 0;
    for (int c = 0; c < n; c++) largest = fmaxf(largest, logits[c]);
    for (int c = 0; c < n; c++) {
        scores[c] = expf(logits[c] - largest);
        sum += scores[c];
    }
    bool finite = true;
    for (int c = 0; c < n; c++) {
        scores[c] /= sum;
        finite = finite && is_finite(scores[c]);
    }
    for (int d = 0; d < p.deltas; d++) finite = finite && is_finite(logits[n + d]);
    for (int c = 0; c < n && !finite; c++) scores[c] = 0;
}
ITEMS(class_scores, ClassScoresParams)

struct DetectionsTopkParams {
    // [N, post, 4] f32, [N] i32: the proposals, and how many.
    uint64_t rois, roi_counts;
    // Of `class_scores`, for N · post RoIs.
    uint64_t scores, predictions;
    // [N, 2] f32: width and height of each resized image without padding.
    uint64_t sizes;
    // [N, cap, 4] f32, [N, cap] f32, [N, cap] i32, [N] i32: the best candidates, best first.
    uint64_t boxes, out_scores, out_classes, counts;
    // cap ≤ TOP_K_MOST. `class_agnostic` (0 or 1): all classes have the same deltas.
    int post, classes, stride, class_agnostic, cap;
    float threshold;
    float weights[4];
};

// A block for each image: classes of RoIs with scores above the threshold, as boxes. Where there are more than `cap`,
// the worst are left out; this changes the detections only if fewer of the others survive suppression than are asked
// for.
HD void detections_topk(const DetectionsTopkParams& p, Block& block) {
    TopK& s = *(TopK*)block.shared;
    const long first = block.index * p.post;
    const float* scores = (const float*)p.scores + first * (p.classes + 1);
    const int n = ((const int*)p.roi_counts)[block.index] * p.classes;
    const auto score = [&](int i) { return scores[(long)(i / p.classes) * (p.classes + 1) + i % p.classes]; };
    const auto key = [&](int i) {
        const float value = score(i);
        return value > p.threshold ? key_of(value, i) : NO_KEY;
    };
    block.once([&] { s.count = 0; });
    block.each(THREADS, [&](int thread) {
        int own = 0;
        visit_keys(thread, n, key, [&](uint64_t) { own++; });
        if (own > 0) atomic_add(&s.count, own);
    });
    const int count = s.count, k = min_of(count, p.cap);
    top_k(block, n, count, k, key, s);
    block.each(k, [&](int rank) {
        const int i = index_of(s.keys[rank]), roi = i / p.classes, category = i % p.classes;
        const float* deltas = (const float*)p.predictions + (first + roi) * p.stride + p.classes + 1;
        const float* own = deltas + (p.class_agnostic ? 0 : category * 4);
        const Box box = apply_deltas(((const Box*)p.rois)[first + roi], own, p.weights);
        const long out = block.index * p.cap + rank;
        ((Box*)p.boxes)[out] = clip(box, (const float*)p.sizes + block.index * 2);
        ((float*)p.out_scores)[out] = score(i);
        ((int*)p.out_classes)[out] = category;
    });
    block.once([&] { ((int*)p.counts)[block.index] = k; });
}
BLOCKS(detections_topk, DetectionsTopkParams)

struct DetectionsGatherParams {
    // Of `detections_topk`, and of `nms_scan`, which kept at most `most`.
    uint64_t boxes, scores, classes, kept, kept_counts;
    // [N, most, 4] f32, [N, most] f32, [N, most] i32: detections, best first, then zeros. Their number is in
    // `kept_counts`.
    uint64_t out_boxes, out_scores, out_classes;
    int cap, most;
};

// An item for each place of a detection: N · most.
HD void detections_gather(const DetectionsGatherParams& p, long item) {
    const long image = item / p.most;
    const bool there = item % p.most < ((const int*)p.kept_counts)[image];
    const long at = there ? image * p.cap + ((const int*)p.kept)[item] : 0;
    ((Box*)p.out_boxes)[item] = there ? ((const Box*)p.boxes)[at] : Box{0, 0, 0, 0};
    ((float*)p.out_scores)[item] = there ? ((const float*)p.scores)[at] : 0.0f;
    ((int*)p.out_classes)[item] = there ? ((const int*)p.classes)[at] : 0;
}
ITEMS(detections_gather, DetectionsGatherParams)

struct MaskRoisParams {
    // [N, most, 4] f32, [N, most] i32, [N] i32
    uint64_t boxes, classes, counts;
    // [N · most, 4] f32, [N · most] i32 twice: the detections of all images without gaps, then zeros; and one i32, how
    // many.
    uint64_t out_boxes, out_images, out_classes, total;
    int images, most;
};

// An item for each place of a detection: N · most.
HD void mask_rois(const MaskRoisParams& p, long item) {
    const int image = item / p.most, rank = item % p.most;
    const int* counts = (const int*)p.counts;
    int before = 0, total = 0;
    for (int i = 0; i < p.images; i++) {
        if (i < image) before += counts[i];
        total += counts[i];
    }
    const bool there = rank < counts[image];
    // The empty places come behind, in their order.
    const long at = there ? before + rank : total + (item - before - counts[image]);
    ((Box*)p.out_boxes)[at] = there ? ((const Box*)p.boxes)[item] : Box{0, 0, 0, 0};
    ((int*)p.out_images)[at] = there ? image : 0;
    ((int*)p.out_classes)[at] = there ? ((const int*)p.classes)[item] : 0;
    if (item == 0) *(int*)p.total = total;
}
ITEMS(mask_rois, MaskRoisParams)
