// Masks of detections: `mask_probabilities`, as in heads.rs, and `mask_runs`, which decides pixels as mask.rs does.
#pragma once
#include "boxes.cuh"
#include "select.cuh"

struct MaskProbabilitiesParams {
    // [M · R · R · 4, stride] f32: logits of the classes; the four are a cell's quarters, row by row.
    uint64_t logits;
    // [M] i32, the detections' classes, or 0 where all have the same masks.
    uint64_t classes;
    // [M, 2 R, 2 R] f32
    uint64_t output;
    int resolution, stride;
};

// An item for each value of the output.
HD void mask_probabilities(const MaskProbabilitiesParams& p, long item) {
    const int side = p.resolution * 2, x = item % side, y = item / side % side;
    const long mask = item / side / side, cell = (mask * p.resolution + y / 2) * p.resolution + x / 2;
    const int channel = p.classes ? ((const int*)p.classes)[mask] : 0;
    const float logit = ((const float*)p.logits)[(cell * 4 + y % 2 * 2 + x % 2) * p.stride + channel];
    ((float*)p.output)[item] = 1.0f / (1.0f + expf(-logit));
}
ITEMS(mask_probabilities, MaskProbabilitiesParams)

struct MaskRunsParams {
    // [M, side, side] f32 probabilities; [M, 4] f32 boxes in pixels of the resized image; [M] i32 images; one i32, how
    // many there are.
    uint64_t masks, boxes, images, total;
    // [N, 2] f32 twice: width and height of each resized image, and of the image that was given.
    uint64_t sizes, originals;
    // [capacity] u32; one i32, 0 before, how many are taken, or would be if there were room.
    uint64_t bounds, taken;
    // [M, 2] i32: where a mask's bounds begin, and how many they are. They are missing if they would end behind
    // `capacity`.
    uint64_t ranges;
    int side, capacity;
};

// A mask is divided into at most so many parts.
constexpr int PARTS_MOST = 4096;
// Rows that are worth a part.
constexpr int PART_ROWS = 32;

struct MaskRuns {
    int bounds[PARTS_MOST];
    int groups[GROUPS + 1];
    int start;
};
static_assert(sizeof(MaskRuns) == 16648, "MASK_RUNS_SHARED in params.rs");

// A mask pasted into its box in the image that was given.
struct Pasted {
    const float* mask;
    int side;
    Box box;
    // In pixels: the columns and rows that may be set, and the image's height.
    int columns[2], rows[2], height;

    HD static void range(float low, float high, float limit, int* out) {
        out[0] = (int)max_of(floorf(low) - 1.0f, 0.0f);
        out[1] = (int)min_of(max_of(ceilf(high) + 1.0f, 0.0f), limit);
        // Empty, not less.
        out[1] = max_of(out[0], out[1]);
    }

    // In mask cells, as grid_sample (align_corners=False) computes it.
    HD float position(int pixel, float low, float high) const {
        const float unit = ((float)pixel + 0.5f - low) / (high - low) * 2.0f - 1.0f;
        return ((unit + 1.0f) * (float)side - 1.0f) / 2.0f;
    }

    HD float at(float x, float y) const {
        const bool inside = x >= 0.0f && x < (float)side && y >= 0.0f && y < (float)side;
        return inside ? mask[(int)y * side + (int)x] : 0.0f;
    }

    // Bilinear sample with zeros outside, of which half or more is set.
    HD bool is_set(float x, float y) const {
        const float x0 = floorf(x), y0 = floorf(y), fx = x - x0, fy = y - y0;
        const float sample = at(x0, y0) * (1.0f - fx) * (1.0f - fy) + at(x0 + 1.0f, y0) * fx * (1.0f - fy) +
                             at(x0, y0 + 1.0f) * (1.0f - fx) * fy + at(x0 + 1.0f, y0 + 1.0f) * fx * fy;
        return sample >= 0.5f;
    }

    // Calls f(position) where runs of set pixels begin or end in these rows of a column; they end with the column's
    // last row.
    template <class F> HD void column(int x, int y0, int y1, F f) const {
        const float sx = position(x, box.x0, box.x1);
        const auto set = [&](int y) { return is_set(sx, position(y, box.y0, box.y1)); };
        const uint32_t start = (uint32_t)x * (uint32_t)height;
        bool before = y0 > rows[0] && set(y0 - 1);
        for (int y = y0; y < y1; y++) {
            const bool now = set(y);
            if (now != before) f(start + (uint32_t)y);
            before = now;
        }
        if (before && y1 == rows[1]) f(start + (uint32_t)y1);
    }
};

// How a mask is divided: into parts of columns, which are side by side, or below each other if they are of a single
// column.
struct Parts {
    const Pasted& mask;
    // Columns of a part, parts of a column, rows of a part, all parts.
    int columns, of_column, rows, count;

    HD Parts(const Pasted& mask) : mask(mask) {
        const int width = mask.columns[1] - mask.columns[0], height = mask.rows[1] - mask.rows[0];
        columns = max_of((width + PARTS_MOST - 1) / PARTS_MOST, 1);
        of_column = max_of(min_of(PARTS_MOST / max_of(width, 1), (height + PART_ROWS - 1) / PART_ROWS), 1);
        rows = (height + of_column - 1) / of_column;
        count = (width + columns - 1) / columns * of_column;
    }

    // Calls f(position) for the bounds of runs in a part, in order.
    template <class F> HD void bounds(int part, F f) const {
        const int x0 = mask.columns[0] + part / of_column * columns, x1 = min_of(x0 + columns, mask.columns[1]);
        const int y0 = min_of(mask.rows[0] + part % of_column * rows, mask.rows[1]);
        const int y1 = min_of(y0 + rows, mask.rows[1]);
        if (y0 == y1) return;
        for (int x = x0; x < x1; x++) mask.column(x, y0, y1, f);
    }
};

HD Pasted pasted(const MaskRunsParams& p, long detection) {
    const int image = ((const int*)p.images)[detection];
    const float* size = (const float*)p.sizes + image * 2;
    const float* original = (const float*)p.originals + image * 2;
    const float x = original[0] / size[0], y = original[1] / size[1];
    const Box box = ((const Box*)p.boxes)[detection];
    Pasted out;
    out.mask = (const float*)p.masks + detection * p.side * p.side;
    out.side = p.side;
    out.box = clip(Box{box.x0 * x, box.y0 * y, box.x1 * x, box.y1 * y}, original);
    out.height = (int)original[1];
    Pasted::range(out.box.x0, out.box.x1, original[0], out.columns);
    Pasted::range(out.box.y0, out.box.y1, original[1], out.rows);
    // A detection that is empty in the image is none.
    if (out.box.x1 <= out.box.x0 || out.box.y1 <= out.box.y0) out.columns[1] = out.columns[0];
    return out;
}

// A block for each detection: where runs of set pixels begin and end, in turn, as column · height + row. A run ends
// with its column.
HD void mask_runs(const MaskRunsParams& p, Block& block) {
    MaskRuns& s = *(MaskRuns*)block.shared;
    int* range = (int*)p.ranges + block.index * 2;
    if (block.index >= *(const int*)p.total) {
        block.once([&] { range[0] = range[1] = 0; });
        return;
    }
    const Pasted mask = pasted(p, block.index);
    const Parts parts(mask);
    block.each(parts.count, [&](int part) {
        int count = 0;
        parts.bounds(part, [&](uint32_t) { count++; });
        s.bounds[part] = count;
    });
    sums_before(block, s.bounds, parts.count, s.groups);
    block.once([&] {
        range[0] = s.start = atomic_add((int*)p.taken, s.groups[GROUPS]);
        range[1] = s.groups[GROUPS];
    });
    if (s.start > p.capacity - s.groups[GROUPS]) return;
    uint32_t* out = (uint32_t*)p.bounds + s.start;
    block.each(parts.count, [&](int part) {
        uint32_t* at = out + s.bounds[part];
        parts.bounds(part, [&](uint32_t position) { *at++ = position; });
    });
}
BLOCKS(mask_runs, MaskRunsParams)
