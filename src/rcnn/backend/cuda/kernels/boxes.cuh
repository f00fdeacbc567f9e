// Boxes as [x0, y0, x1, y1] in pixels, as in boxes.rs.
#pragma once
#include "kernel.cuh"

struct alignas(16) Box {
    float x0, y0, x1, y1;
};

// The largest growth that a predicted log-size may ask for: ln(1000/16).
constexpr float SCALE_CLAMP = 4.1351666f;

// Applies deltas (dx, dy, dw, dh) to a box.
HD Box apply_deltas(const Box& b, const float* deltas, const float* weights) {
    const float w = b.x1 - b.x0, h = b.y1 - b.y0;
    const float cx = b.x0 + 0.5f * w, cy = b.y0 + 0.5f * h;
    const float dw = min_of(deltas[2] / weights[2], SCALE_CLAMP), dh = min_of(deltas[3] / weights[3], SCALE_CLAMP);
    const float px = deltas[0] / weights[0] * w + cx, py = deltas[1] / weights[1] * h + cy;
    const float pw = expf(dw) * w, ph = expf(dh) * h;
    return {px - 0.5f * pw, py - 0.5f * ph, px + 0.5f * pw, py + 0.5f * ph};
}

// A NaN stays one.
HD float clamp(float v, float low, float high) { return v < low ? low : v > high ? high : v; }

// Cuts a box at the edges of an image; `size` is its width and height in pixels.
HD Box clip(const Box& b, const float* size) {
    return {clamp(b.x0, 0, size[0]), clamp(b.y0, 0, size[1]), clamp(b.x1, 0, size[0]), clamp(b.y1, 0, size[1])};
}

HD float area(const Box& b) { return (b.x1 - b.x0) * (b.y1 - b.y0); }

HD bool is_finite(const Box& b) {
    return is_finite(b.x0) && is_finite(b.y0) && is_finite(b.x1) && is_finite(b.y1);
}
