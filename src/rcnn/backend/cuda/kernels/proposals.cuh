// From the region proposal network's predictions to proposals, as in rpn.rs: `proposals_topk`, nms.cuh, `proposals_merge`.
#pragma once
#include "boxes.cuh"
#include "select.cuh"

// A level of the pyramid.
struct ProposalLevel {
    // [N · H · W, stride] f32: a cell's logits, one for each anchor, then four deltas for each.
    uint64_t predictions;
    // [A, 4] f32: the anchors around a cell's place.
    uint64_t anchors;
    int height, width, stride;
    // Pixels of the input per cell.
    float step;
};

constexpr int LEVELS_MOST = 8;

struct ProposalsTopkParams {
    ProposalLevel level[LEVELS_MOST];
    // [N, 2] f32: width and height of each resized image without padding.
    uint64_t sizes;
    // Of each segment, which is a level of an image, [N · levels]: [.., cap, 4] f32, [.., cap] f32, i32.
    uint64_t boxes, scores, counts;
    // Anchors are per cell; `offset` is in cells. At most `cap` ≤ TOP_K_MOST boxes stay of a segment.
    int levels, anchors, cap;
    float offset, min_size;
    float weights[4];
};

// One segment's predictions.
struct Predictions {
    const ProposalsTopkParams& p;
    const ProposalLevel& level;
    const float* rows;
    const float* size;

    HD float logit(int i) const { return rows[(long)(i / p.anchors) * level.stride + i % p.anchors]; }

    HD Box decoded(int i) const {
        const int cell = i / p.anchors, a = i % p.anchors;
        const float dx = ((float)(cell % level.width) + p.offset) * level.step;
        const float dy = ((float)(cell / level.width) + p.offset) * level.step;
        const float* c = (const float*)level.anchors + a * 4;
        const Box anchor = {c[0] + dx, c[1] + dy, c[2] + dx, c[3] + dy};
        return apply_deltas(anchor, rows + (long)cell * level.stride + p.anchors + a * 4, p.weights);
    }

    // Finite, and large enough once it is clipped.
    HD bool is_valid(int i) const {
        const Box box = decoded(i);
        if (!is_finite(logit(i)) || !is_finite(box)) return false;
        const Box clipped = clip(box, size);
        return clipped.x1 - clipped.x0 > p.min_size && clipped.y1 - clipped.y0 > p.min_size;
    }
};

// A block for each segment: its best anchors by logit, decoded, clipped, and without the empty ones, best first.
HD void proposals_topk(const ProposalsTopkParams& p, Block& block) {
    TopK& s = *(TopK*)block.shared;
    const long image = block.index / p.levels;
    const ProposalLevel& level = p.level[block.index % p.levels];
    const int cells = level.height * level.width, n = cells * p.anchors, k = min_of(n, p.cap);
    const Predictions predictions = {p, level, (const float*)level.predictions + image * cells * level.stride,
                             (const float*)p.sizes + image * 2};
    top_k(block, n, n, k, [&](int i) { return key_of(predictions.logit(i), i); }, s);
    Box* boxes = (Box*)p.boxes + block.index * p.cap;
    float* scores = (float*)p.scores + block.index * p.cap;
    const auto is_valid = [&](int rank) { return predictions.is_valid(index_of(s.keys[rank])); };
    compact(block, k, s, is_valid, [&](int rank, int at) {
        const int i = index_of(s.keys[rank]);
        boxes[at] = clip(predictions.decoded(i), predictions.size);
        scores[at] = predictions.logit(i);
    });
    block.once([&] { ((int*)p.counts)[block.index] = s.groups[GROUPS]; });
}
BLOCKS(proposals_topk, ProposalsTopkParams)

struct ProposalsMergeParams {
    // Of each segment, [N · levels]: [.., cap, 4] f32, [.., cap] f32, best first; [.., most] i32, the ranks that NMS
    // kept, and i32, how many.
    uint64_t boxes, scores, kept, kept_counts;
    // [N, post, 4] f32, [N, post] f32, [N] i32: the best of all levels, best first, then zeros.
    uint64_t rois, roi_scores, roi_counts;
    int levels, cap, most, post;
};

// A block for each image; `post` ≤ TOP_K_MOST. Equal scores keep the order of levels, then of ranks.
HD void proposals_merge(const ProposalsMergeParams& p, Block& block) {
    TopK& s = *(TopK*)block.shared;
    const long first = block.index * p.levels;
    const int* counts = (const int*)p.kept_counts + first;
    int count = 0;
    for (int level = 0; level < p.levels; level++) count += counts[level];
    // Where the box with this index lies; -1 if there is none.
    const auto place = [&](int i) -> long {
        const int level = i / p.most, rank = i % p.most;
        if (rank >= counts[level]) return -1;
        return (first + level) * p.cap + ((const int*)p.kept)[(first + level) * p.most + rank];
    };
    const int k = min_of(count, p.post);
    const auto key = [&](int i) {
        const long at = place(i);
        return at < 0 ? NO_KEY : key_of(((const float*)p.scores)[at], i);
    };
    top_k(block, p.levels * p.most, count, k, key, s);
    block.each(p.post, [&](int i) {
        const long at = i < k ? place(index_of(s.keys[i])) : -1, out = block.index * p.post + i;
        ((Box*)p.rois)[out] = at < 0 ? Box{0, 0, 0, 0} : ((const Box*)p.boxes)[at];
        ((float*)p.roi_scores)[out] = at < 0 ? 0.0f : ((const float*)p.scores)[at];
    });
    block.once([&] { ((int*)p.roi_counts)[block.index] = k; });
}
BLOCKS(proposals_merge, ProposalsMergeParams)
