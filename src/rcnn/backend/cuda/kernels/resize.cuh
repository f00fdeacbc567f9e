// Pillow's BILINEAR resize of 8-bit RGB images, to the last bit, as in resample.rs: `resize_horizontal`, then
// `resize_vertical`. A pass that would not change the size is left out.
#pragma once
#include "kernel.cuh"

struct ResizeParams {
    // [N, height, width, 3] u8; the output is as wide, or as high, as the tables are long, and else the same.
    uint64_t input, output;
    // The tables of resample.rs: of each target pixel [target] i32, its first source pixel; [target + 1] i32, where its
    // weights begin; and i32 weights, in 22 bits.
    uint64_t starts, offsets, weights;
    int height, width, target;
};

constexpr int PRECISION_BITS = 32 - 8 - 2;

HD uint8_t to_u8(int sum) { return min_of(max_of(sum >> PRECISION_BITS, 0), 255); }

// One target pixel, from source pixels that lie `step` bytes apart.
HD void resample(const ResizeParams& p, int target, const uint8_t* pixels, long step, uint8_t* out) {
    const int begin = ((const int*)p.offsets)[target], taps = ((const int*)p.offsets)[target + 1] - begin;
    const int* weights = (const int*)p.weights + begin;
    pixels += ((const int*)p.starts)[target] * step;
    int r = 1 << (PRECISION_BITS - 1), g = r, b = r;
    for (int i = 0; i < taps; i++) {
        const int weight = weights[i];
        const uint8_t* pixel = pixels + i * step;
        r += pixel[0] * weight;
        g += pixel[1] * weight;
        b += pixel[2] * weight;
    }
    out[0] = to_u8(r);
    out[1] = to_u8(g);
    out[2] = to_u8(b);
}

// An item for each pixel of the output, [N, height, target].
HD void resize_horizontal(const ResizeParams& p, long item) {
    const long row = item / p.target;
    resample(p, item % p.target, (const uint8_t*)p.input + row * p.width * 3, 3, (uint8_t*)p.output + item * 3);
}
ITEMS(resize_horizontal, ResizeParams)

// An item for each pixel of the output, [N, target, width].
HD void resize_vertical(const ResizeParams& p, long item) {
    const int x = item % p.width, y = item / p.width % p.target;
    const long image = item / p.width / p.target, row = p.width * 3l;
    resample(p, y, (const uint8_t*)p.input + image * p.height * row + x * 3, row, (uint8_t*)p.output + item * 3);
}
ITEMS(resize_vertical, ResizeParams)
