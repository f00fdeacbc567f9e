// What convolutions need around their matrix products. Maps are channels last, [N, H, W, C], and C is a multiple of a Pack's values.
#pragma once
#include "kernel.cuh"

struct Im2colParams {
    uint64_t input, output;
    // Of the input, and of the output, which begins at row `first`.
    int height, width, channels, out_height, out_width;
    int kernel, stride, padding, groups, unused;
    long long first;
};

// Rows of a matrix product: a row holds, for each group of channels, the kernel's pixels around one output pixel.
template <class T> HD void im2col(const Im2colParams& p, long item) {
    const int packs = p.channels / Pack<T>::N;
    const int taps = p.kernel * p.kernel;
    const int c = item % packs * Pack<T>::N;
    const int tap = item / packs % taps;
    const long row = item / packs / taps;
    const long pixel = p.first + row;
    const int x = pixel % p.out_width * p.stride + tap % p.kernel - p.padding;
    const int y = pixel / p.out_width % p.out_height * p.stride + tap / p.kernel - p.padding;
    const long image = pixel / p.out_width / p.out_height;
    Pack<T> values;
    if (x >= 0 && x < p.width && y >= 0 && y < p.height) {
        values = *(const Pack<T>*)((const T*)p.input + ((image * p.height + y) * p.width + x) * p.channels + c);
    } else {
        for (int i = 0; i < Pack<T>::N; i++) values.v[i] = from_f32<T>(0.0f);
    }
    T* out = (T*)p.output + row * taps * p.channels;
    if (p.groups == 1) {
        *(Pack<T>*)(out + tap * p.channels + c) = values;
    } else {
        const int of_group = p.channels / p.groups;
        for (int i = 0; i < Pack<T>::N; i++) {
            const int group = (c + i) / of_group;
            out[(group * taps + tap) * of_group + (c + i) % of_group] = values.v[i];
        }
    }
}
ITEMS_OF_EACH_TYPE(im2col, Im2colParams)

struct StemParams {
    uint64_t input, output;
    // Of the resized images, and of the stem's output.
    int height, width, out_height, out_width;
    // Where a channel is in a pixel.
    int order[3];
    // Pixels' mean and standard deviation.
    float mean[3], deviation[3];
    // Values of a row; what is beyond the 147 is zero.
    int row;
    long long first;
};

// The rows of the first convolution (7 x 7, stride 2), of bytes [N, height, width, 3]: reordered, normalised, zero beyond the image.
template <class T> HD void stem_im2col(const StemParams& p, long item) {
    const int at = item % p.row;
    const long row = item / p.row;
    const long pixel = p.first + row;
    float value = 0.0f;
    if (at < 147) {
        const int channel = at % 3, tap = at / 3;
        const int x = pixel % p.out_width * 2 + tap % 7 - 3;
        const int y = pixel / p.out_width % p.out_height * 2 + tap / 7 - 3;
        const long image = pixel / p.out_width / p.out_height;
        if (x >= 0 && x < p.width && y >= 0 && y < p.height) {
            const uint8_t* in = (const uint8_t*)p.input + ((image * p.height + y) * p.width + x) * 3;
            value = ((float)in[p.order[channel]] - p.mean[channel]) / p.deviation[channel];
        }
    }
    ((T*)p.output)[item] = from_f32<T>(value);
}
ITEMS_OF_EACH_TYPE(stem_im2col, StemParams)

struct PoolParams {
    uint64_t input, output;
    int height, width, channels, out_height, out_width, unused;
};

// Max-pooling 3 x 3 with stride 2 and padding 1, after a ReLU, so that what is outside may be zero.
template <class T> HD void max_pool(const PoolParams& p, long item) {
    const int packs = p.channels / Pack<T>::N;
    const int c = item % packs * Pack<T>::N;
    const long pixel = item / packs;
    const int x = pixel % p.out_width * 2, y = pixel / p.out_width % p.out_height * 2;
    const long image = pixel / p.out_width / p.out_height;
    float best[Pack<T>::N] = {};
    for (int row = max_of(y - 1, 0); row <= min_of(y + 1, p.height - 1); row++) {
        for (int column = max_of(x - 1, 0); column <= min_of(x + 1, p.width - 1); column++) {
            const T* in = (const T*)p.input + ((image * p.height + row) * p.width + column) * p.channels + c;
            const Pack<T> values = *(const Pack<T>*)in;
            for (int i = 0; i < Pack<T>::N; i++) best[i] = max_of(best[i], to_f32(values.v[i]));
        }
    }
    Pack<T> out;
    for (int i = 0; i < Pack<T>::N; i++) out.v[i] = from_f32<T>(best[i]);
    *(Pack<T>*)((T*)p.output + pixel * p.channels + c) = out;
}
ITEMS_OF_EACH_TYPE(max_pool, PoolParams)

struct ConvertParams {
    uint64_t input, output;
};

// Values of f32 as another type, a pack of the output at a time.
template <class T> HD void convert(const ConvertParams& p, long item) {
    Pack<T> out;
    const float* in = (const float*)p.input + item * Pack<T>::N;
    for (int i = 0; i < Pack<T>::N; i++) out.v[i] = from_f32<T>(in[i]);
    ((Pack<T>*)p.output)[item] = out;
}
ITEMS_OF_EACH_TYPE(convert, ConvertParams)

struct UpsampleParams {
    uint64_t coarse, fine;
    // Of the fine map.
    int height, width, channels, coarse_height, coarse_width;
    // 1, or one half where the two are averaged.
    float factor;
};

// Adds each pixel of the coarser level to the four of the finer one that it covers.
template <class T> HD void upsample_add(const UpsampleParams& p, long item) {
    const int packs = p.channels / Pack<T>::N;
    const int c = item % packs * Pack<T>::N;
    const long pixel = item / packs;
    const int x = pixel % p.width, y = pixel / p.width % p.height;
    const long image = pixel / p.width / p.height;
    const long above = (image * p.coarse_height + y / 2) * p.coarse_width + x / 2;
    const Pack<T> coarse = *(const Pack<T>*)((const T*)p.coarse + above * p.channels + c);
    Pack<T>* fine = (Pack<T>*)((T*)p.fine + pixel * p.channels + c);
    Pack<T> sum = *fine;
    for (int i = 0; i < Pack<T>::N; i++) sum.v[i] = from_f32<T>((to_f32(sum.v[i]) + to_f32(coarse.v[i])) * p.factor);
    *fine = sum;
}
ITEMS_OF_EACH_TYPE(upsample_add, UpsampleParams)

struct FinishParams {
    uint64_t map, bias, add, moments, affine;
    int channels, relu;
    // Of a group norm: pixels of an image, channels of a group, groups; 0 groups is none.
    int pixels, of_group, groups, unused;
};

// What a product could not do at its end: a group norm, a bias, an addition, a ReLU.
template <class T> HD void finish(const FinishParams& p, long item) {
    const int channel = item % p.channels;
    T* at = (T*)p.map + item;
    float value = to_f32(*at);
    if (p.groups > 0) {
        const long group = item / p.channels / p.pixels * p.groups + channel / p.of_group;
        const float* moments = (const float*)p.moments + group * 2;
        const float* affine = (const float*)p.affine + channel * 2;
        value = (value - moments[0]) * moments[1] * affine[0] + affine[1];
    }
    if (p.bias) value += to_f32(((const T*)p.bias)[channel]);
    if (p.add) value += to_f32(((const T*)p.add)[item]);
    *at = from_f32<T>(p.relu ? max_of(value, 0.0f) : value);
}
ITEMS_OF_EACH_TYPE(finish, FinishParams)

struct MomentsParams {
    uint64_t map, moments;
    int pixels, channels, of_group, groups;
    float epsilon;
    int threads;
};

// Mean and 1 / deviation of each image's groups of channels; one block each.
template <class T> HD void moments(const MomentsParams& p, Block& block) {
    float* sums = (float*)block.shared;
    const long image = block.index / p.groups, group = block.index % p.groups;
    const T* map = (const T*)p.map + image * p.pixels * p.channels + group * p.of_group;
    const int count = p.pixels * p.of_group;
    float mean = 0.0f;
    for (int pass = 0; pass < 2; pass++) {
        block.each(p.threads, [&](int thread) {
            float sum = 0.0f;
            for (int i = thread; i < count; i += p.threads) {
                const float value = to_f32(map[(long)(i / p.of_group) * p.channels + i % p.of_group]);
                sum += pass == 0 ? value : (value - mean) * (value - mean);
            }
            sums[thread] = sum;
        });
        for (int half = p.threads / 2; half > 0; half /= 2) {
            block.each(half, [&](int thread) { sums[thread] += sums[thread + half]; });
        }
        const float total = sums[0];
        block.wait();
        if (pass == 0) {
            mean = total / count;
        } else {
            block.once([&] {
                float* out = (float*)p.moments + block.index * 2;
                out[0] = mean;
                out[1] = 1.0f / sqrtf(total / count + p.epsilon);
            });
        }
    }
}
BLOCKS_OF_EACH_TYPE(moments, MomentsParams)
