// RoIAlign with half-pixel alignment (Detectron2's ROIAlignV2) over the pyramid, as in kernels/roi_align.rs and
// pooler.rs.
#pragma once
#include "boxes.cuh"

constexpr int POOLED_LEVELS = 4;

struct RoiAlignParams {
    // Of p2 to p5: [N, heights, widths, channels] of T, and feature pixels per input pixel.
    uint64_t maps[POOLED_LEVELS];
    int heights[POOLED_LEVELS], widths[POOLED_LEVELS];
    float scales[POOLED_LEVELS];
    // [R, 4] f32, in pixels of the network's input.
    uint64_t rois;
    // Either 0 and [N] i32, where RoIs r · per_image.. are of image r and so many are there;
    // or [R] i32, the RoIs' images, and one i32, how many RoIs are there.
    uint64_t images, counts;
    // [R, resolution, resolution, channels] of T; zeros for RoIs that are not there.
    uint64_t output;
    int per_image, channels, resolution;
    // Samples per cell and axis; 0 means ceil(RoI's side / resolution).
    int sampling_ratio;
};

// The image of a RoI, -1 if the RoI is not there.
HD int image_of(const RoiAlignParams& p, int roi) {
    const int* counts = (const int*)p.counts;
    if (p.images) return roi < counts[0] ? ((const int*)p.images)[roi] : -1;
    const int image = roi / p.per_image;
    return roi % p.per_image < counts[image] ? image : -1;
}

// The pyramid level of a box, 0 for p2 to 3 for p5: one of 224 pixels is pooled from p4.
HD int level_of(const Box& box) {
    const float level = floorf(4.0f + log2f(sqrtf(area(box)) / 224.0f + 1e-8f));
    return level >= 5.0f ? 3 : level > 2.0f ? (int)level - 2 : 0;
}

// The two neighbours of a sample on one axis and their weights, 0 if it is more than a pixel outside.
struct Tap {
    int at[2];
    float weight[2];
};

HD Tap tap(float v, int limit, float weight) {
    if (!(v >= -1.0f && v <= (float)limit)) return {{0, 0}, {0, 0}};
    v = max_of(v, 0.0f);
    const int low = (int)v;
    if (low >= limit - 1) return {{limit - 1, limit - 1}, {weight, 0}};
    const float of_high = v - (float)low;
    return {{low, low + 1}, {weight * (1.0f - of_high), weight * of_high}};
}

// The samples of one of a RoI's cells on one axis.
struct Samples {
    float start, bin;
    int grid, limit;

    HD Samples(float low, float high, const RoiAlignParams& p, int cell, int limit) : limit(limit) {
        bin = (high - low) / (float)p.resolution;
        grid = p.sampling_ratio ? p.sampling_ratio : (int)fmaxf(ceilf(bin), 0.0f);
        start = low + (float)cell * bin;
    }
    HD Tap operator[](int sample) const {
        return tap(start + ((float)sample + 0.5f) * bin / (float)grid, limit, 1.0f / (float)grid);
    }
};

// Adds the pixel at `map`, if it has a weight.
template <class T> HD void add_pixel(float* sums, const T* map, float weight) {
    if (weight == 0.0f) return;
    const Pack<T> values = *(const Pack<T>*)map;
    for (int i = 0; i < Pack<T>::N; i++) sums[i] += weight * to_f32(values.v[i]);
}

template <class T> HD void pool_cell(const RoiAlignParams& p, int roi, int image, int y, int x, int c, float* sums) {
    const Box box = ((const Box*)p.rois)[roi];
    const int level = level_of(box), height = p.heights[level], width = p.widths[level];
    const float scale = p.scales[level];
    const Samples ys(box.y0 * scale - 0.5f, box.y1 * scale - 0.5f, p, y, height);
    const Samples xs(box.x0 * scale - 0.5f, box.x1 * scale - 0.5f, p, x, width);
    const T* map = (const T*)p.maps[level] + (long)image * height * width * p.channels + c;
    for (int i = 0; i < ys.grid; i++) {
        const Tap row = ys[i];
        for (int j = 0; j < xs.grid; j++) {
            const Tap column = xs[j];
            for (int corner = 0; corner < 4; corner++) {
                const long pixel = (long)row.at[corner / 2] * width + column.at[corner % 2];
                add_pixel(sums, map + pixel * p.channels, row.weight[corner / 2] * column.weight[corner % 2]);
            }
        }
    }
}

// An item for each Pack of the output. There are fewer than 2^32 of them: they take 64 GiB.
template <class T> HD void roi_align(const RoiAlignParams& p, long item) {
    constexpr int N = Pack<T>::N;
    const uint32_t packs = p.channels / N, side = p.resolution, cell = (uint32_t)item / packs;
    const int c = (uint32_t)item % packs * N, x = cell % side, y = cell / side % side, roi = cell / side / side;
    const int image = image_of(p, roi);
    float sums[N] = {};
    if (image >= 0) pool_cell<T>(p, roi, image, y, x, c, sums);
    Pack<T> out;
    for (int i = 0; i < N; i++) out.v[i] = from_f32<T>(sums[i]);
    ((Pack<T>*)p.output)[item] = out;
}
ITEMS_OF_EACH_TYPE(roi_align, RoiAlignParams)
