// Non-maximum suppression, as in boxes.rs, of segments of boxes that are sorted, best first: `nms_mask`, then
// `nms_scan`.
#pragma once
#include "boxes.cuh"
#include "select.cuh"

// Boxes that a word of the mask is about.
constexpr int NMS_BITS = 64;

struct NmsMaskParams {
    // Of each segment: [.., cap, 4] f32; [.., cap] i32, within which of them boxes compete, or 0 for one group; i32,
    // how many boxes.
    uint64_t boxes, groups, counts;
    // [segments, words, cap] u64, where words = ceil(cap / 64): bit j of word w of box i says that i suppresses box
    // 64 w + j > i. Words before i's own, and those of boxes that are not there, stay as they are.
    uint64_t mask;
    int cap;
    float threshold;
};

HD bool overlaps(const Box& kept, const Box& other, float threshold) {
    const float w = fmaxf(fminf(other.x1, kept.x1) - fmaxf(other.x0, kept.x0), 0.0f);
    const float h = fmaxf(fminf(other.y1, kept.y1) - fmaxf(other.y0, kept.y0), 0.0f);
    const float inter = w * h;
    return inter / (area(other) + area(kept) - inter) > threshold;
}

// An item for each word of the mask: neighbours compare their own boxes with the same 64.
HD void nms_mask(const NmsMaskParams& p, long item) {
    const int words = (p.cap + NMS_BITS - 1) / NMS_BITS;
    const int i = item % p.cap, word = item / p.cap % words;
    const long segment = item / p.cap / words;
    const int count = ((const int*)p.counts)[segment];
    if (i >= count || word < i / NMS_BITS || word * NMS_BITS >= count) return;
    const Box* boxes = (const Box*)p.boxes + segment * p.cap;
    const int* groups = p.groups ? (const int*)p.groups + segment * p.cap : nullptr;
    const Box own = boxes[i];
    const int end = min_of(count, (word + 1) * NMS_BITS);
    uint64_t bits = 0;
    for (int j = max_of(i + 1, word * NMS_BITS); j < end; j++) {
        const bool same = !groups || groups[i] == groups[j];
        if (same && overlaps(own, boxes[j], p.threshold)) bits |= 1ull << j % NMS_BITS;
    }
    ((uint64_t*)p.mask)[item] = bits;
}
ITEMS(nms_mask, NmsMaskParams)

struct NmsScanParams {
    // As for `nms_mask`.
    uint64_t counts, mask;
    // Of each segment: [.., most] i32, the boxes that are kept, best first; i32, how many.
    uint64_t kept, kept_counts;
    // cap ≤ TOP_K_MOST; the scan ends when `most` are kept.
    int cap, most;
};

struct NmsScan {
    uint64_t removed[TOP_K_MOST / NMS_BITS];
    uint64_t diagonal[NMS_BITS];
    uint64_t kept;
    int total;
};
static_assert(sizeof(NmsScan) == 1040, "NMS_SCAN_SHARED in params.rs");

// A block for each segment; 64 threads are enough.
HD void nms_scan(const NmsScanParams& p, Block& block) {
    NmsScan& s = *(NmsScan*)block.shared;
    const int count = ((const int*)p.counts)[block.index];
    const int words = (count + NMS_BITS - 1) / NMS_BITS, stride = (p.cap + NMS_BITS - 1) / NMS_BITS;
    const uint64_t* mask = (const uint64_t*)p.mask + block.index * stride * p.cap;
    int* kept = (int*)p.kept + block.index * p.most;
    block.each(words, [&](int word) { s.removed[word] = 0; });
    block.once([&] { s.total = 0; });
    // `total` is read behind a barrier, and changes behind the next one.
    for (int word = 0; word < words && s.total < p.most; word++) {
        const int first = word * NMS_BITS, rows = min_of(NMS_BITS, count - first);
        block.each(rows, [&](int i) { s.diagonal[i] = mask[(long)word * p.cap + first + i]; });
        block.once([&] {
            uint64_t removed = s.removed[word], bits = 0;
            int total = s.total;
            for (int i = 0; i < rows && total < p.most; i++) {
                if (removed >> i & 1) continue;
                removed |= s.diagonal[i];
                bits |= 1ull << i;
                kept[total++] = first + i;
            }
            s.kept = bits;
            s.total = total;
        });
        block.each(words - word - 1, [&](int i) {
            const int other = word + 1 + i;
            uint64_t removed = s.removed[other];
            for (int row = 0; row < rows; row++) {
                if (s.kept >> row & 1) removed |= mask[(long)other * p.cap + first + row];
            }
            s.removed[other] = removed;
        });
    }
    block.once([&] { ((int*)p.kept_counts)[block.index] = s.total; });
}
BLOCKS(nms_scan, NmsScanParams)
