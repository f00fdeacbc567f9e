// Winograd's F(4 x 4, 3 x 3) with the points 0, 1, -1, 2, -2 and infinity, in f32: 36 products for 16 pixels instead of 144.
// A tile's 36 values lie in 36 matrices [tiles, channels], one behind the other, so that one batched product multiplies all.
#pragma once
#include "kernel.cuh"

struct WinogradParams {
    uint64_t map, tiles, bias;
    // Of the map; and tiles of an image.
    int height, width, channels, down, across;
    int relu;
    // The first tile of this chunk, and how many it has.
    long long first, count;
};

// Times the transposed input matrix.
HD void winograd_input(const float d[6], float out[6]) {
    const float even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
    const float c = d[4] - d[2], e = 2.0f * (d[3] - d[1]);
    out[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    out[1] = even + odd;
    out[2] = even - odd;
    out[3] = c + e;
    out[4] = c - e;
    out[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}

// Times the transposed output matrix.
HD void winograd_output(const float m[6], float out[4]) {
    const float a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
    out[0] = m[0] + a + c;
    out[1] = b + 2.0f * d;
    out[2] = a + 4.0f * c;
    out[3] = b + 8.0f * d + m[5];
}

struct WinogradTile {
    long image;
    int y, x;
};

HD WinogradTile winograd_tile(const WinogradParams& p, long tile) {
    return {tile / p.across / p.down, (int)(tile / p.across % p.down) * 4, (int)(tile % p.across) * 4};
}

// A tile's 6 x 6 pixels of one channel, transformed; zero outside of the map.
HD void winograd_scatter(const WinogradParams& p, long item) {
    const int channel = item % p.channels;
    const long number = item / p.channels;
    const WinogradTile tile = winograd_tile(p, p.first + number);
    float columns[6][6];
    for (int j = 0; j < 6; j++) {
        float d[6];
        const int x = tile.x + j - 1;
        for (int i = 0; i < 6; i++) {
            const int y = tile.y + i - 1;
            const bool inside = x >= 0 && x < p.width && y >= 0 && y < p.height;
            d[i] = inside ? ((const float*)p.map)[((tile.image * p.height + y) * p.width + x) * p.channels + channel] : 0.0f;
        }
        winograd_input(d, columns[j]);
    }
    for (int i = 0; i < 6; i++) {
        float row[6], out[6];
        for (int j = 0; j < 6; j++) row[j] = columns[j][i];
        winograd_input(row, out);
        for (int j = 0; j < 6; j++) ((float*)p.tiles)[((i * 6 + j) * p.count + number) * p.channels + channel] = out[j];
    }
}
ITEMS(winograd_scatter, WinogradParams)

// The 4 x 4 pixels of one channel that a tile's products make.
HD void winograd_gather(const WinogradParams& p, long item) {
    const int channel = item % p.channels;
    const long number = item / p.channels;
    const WinogradTile tile = winograd_tile(p, p.first + number);
    float columns[6][4];
    for (int j = 0; j < 6; j++) {
        float m[6];
        for (int i = 0; i < 6; i++) m[i] = ((const float*)p.tiles)[((i * 6 + j) * p.count + number) * p.channels + channel];
        winograd_output(m, columns[j]);
    }
    const float bias = p.bias ? ((const float*)p.bias)[channel] : 0.0f;
    for (int i = 0; i < min_of(4, p.height - tile.y); i++) {
        float row[6], out[4];
        for (int j = 0; j < 6; j++) row[j] = columns[j][i];
        winograd_output(row, out);
        for (int j = 0; j < min_of(4, p.width - tile.x); j++) {
            const float value = out[j] + bias;
            const long at = ((tile.image * p.height + tile.y + i) * p.width + tile.x + j) * p.channels + channel;
            ((float*)p.map)[at] = p.relu ? max_of(value, 0.0f) : value;
        }
    }
}
ITEMS(winograd_gather, WinogradParams)
