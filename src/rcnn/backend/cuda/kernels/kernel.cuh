// What kernels are written with. nvcc compiles them for the GPU, any C++17 compiler as their twins for the CPU: the same source, so the
// same index arithmetic; only the launch differs.
//
// A kernel takes one struct of parameters and is of one of two kinds:
//   ITEMS(name, Params)   calls `name(const Params&, long item)` for each item, in any order
//   BLOCKS(name, Params)  calls `name(const Params&, Block&)` for each block of threads that share memory
// Pointers in Params are device addresses (64 bits). The struct has the same fields as its #[repr(C)] twin in Rust, whose names and order
// are checked by `twin_size`.
#pragma once
#include <cfloat>
#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define HD __device__ __forceinline__
using f16 = __half;
using bf16 = __nv_bfloat16;
HD float to_f32(f16 v) { return __half2float(v); }
HD float to_f32(bf16 v) { return __bfloat162float(v); }
template <class T> HD T from_f32(float v);
template <> HD f16 from_f32<f16>(float v) { return __float2half_rn(v); }
template <> HD bf16 from_f32<bf16>(float v) { return __float2bfloat16_rn(v); }
HD int atomic_add(int* at, int value) { return atomicAdd(at, value); }
#else
#include <cstring>
#define HD inline
using f16 = _Float16;
// Of g++ 12, which has no __bf16 to compute with: the upper half of a float, rounded to the nearest, ties to even.
struct bf16 {
    uint16_t bits;
};
HD float to_f32(f16 v) { return (float)v; }
HD float to_f32(bf16 v) {
    uint32_t bits = (uint32_t)v.bits << 16;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}
template <class T> HD T from_f32(float v);
template <> HD f16 from_f32<f16>(float v) { return (f16)v; }
template <> HD bf16 from_f32<bf16>(float v) {
    uint32_t bits;
    std::memcpy(&bits, &v, 4);
    if (v != v) return bf16{(uint16_t)(bits >> 16 | 0x40)};
    return bf16{(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
// Blocks run on several threads here, too.
HD int atomic_add(int* at, int value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }
#endif
HD float to_f32(float v) { return v; }
template <> HD float from_f32<float>(float v) { return v; }

HD int min_of(int a, int b) { return a < b ? a : b; }
HD int max_of(int a, int b) { return a > b ? a : b; }
// As Rust's f32::min and max on numbers; a NaN in `a` gives `b`.
HD float min_of(float a, float b) { return a < b ? a : b; }
HD float max_of(float a, float b) { return a > b ? a : b; }
HD bool is_finite(float v) { return v - v == 0.0f; }

// Sixteen bytes of values, which a thread loads and stores at once.
template <class T> struct alignas(16) Pack {
    static constexpr int N = 16 / sizeof(T);
    T v[N];
};

// The threads of one block. What they share lies in `shared`; a value that each thread holds for itself must come from there or from the
// parameters, since on the CPU one thread is all of them.
struct Block {
    long index;
    char* shared;

    // Calls f(i) for i in 0..n, then waits until all threads have.
    template <class F> HD void each(int n, F f) {
#ifdef __CUDACC__
        for (int i = threadIdx.x; i < n; i += blockDim.x) f(i);
        __syncthreads();
#else
        for (int i = 0; i < n; i++) f(i);
#endif
    }

    // Waits until all threads have read what the next step overwrites.
    HD void wait() {
#ifdef __CUDACC__
        __syncthreads();
#endif
    }

    // f() by one thread.
    template <class F> HD void once(F f) {
        each(1, [&](int) { f(); });
    }
};

#ifdef __CUDACC__
#define ITEMS(name, Params)                                                                  \
    extern "C" __global__ void __launch_bounds__(256) k_##name(Params p, long long n) {      \
        long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;                      \
        if (i < n) name(p, i);                                                               \
    }
#define BLOCKS(name, Params)                                                                 \
    extern "C" __global__ void __launch_bounds__(1024) k_##name(Params p) {                  \
        extern __shared__ __align__(16) char shared[];                                       \
        Block block{(long)blockIdx.x, shared};                                               \
        name(p, block);                                                                      \
    }
#else
// A twin runs the items or blocks `from` to `to`.
using Twin = void (*)(const void* params, long from, long to, char* shared);
struct Entry {
    const char* name;
    Twin run;
    unsigned long size;
};
struct Register {
    Register(const char* name, Twin run, unsigned long size);
};
#define ITEMS(name, Params)                                                                  \
    static Register register_##name("k_" #name, [](const void* p, long from, long to, char*) { \
        for (long i = from; i < to; i++) name(*(const Params*)p, i);                         \
    }, sizeof(Params));
#define BLOCKS(name, Params)                                                                 \
    static Register register_##name("k_" #name, [](const void* p, long from, long to, char* shared) { \
        for (long i = from; i < to; i++) {                                                   \
            Block block{i, shared};                                                          \
            name(*(const Params*)p, block);                                                  \
        }                                                                                    \
    }, sizeof(Params));
#endif

// One kernel for each type of activations: the template `name<T>` as name_f32, name_f16 and name_bf16.
#define ITEMS_OF_EACH_TYPE(name, Params)                                                     \
    HD void name##_f32(const Params& p, long i) { name<float>(p, i); }                       \
    HD void name##_f16(const Params& p, long i) { name<f16>(p, i); }                         \
    HD void name##_bf16(const Params& p, long i) { name<bf16>(p, i); }                       \
    ITEMS(name##_f32, Params)                                                                \
    ITEMS(name##_f16, Params)                                                                \
    ITEMS(name##_bf16, Params)
#define BLOCKS_OF_EACH_TYPE(name, Params)                                                    \
    HD void name##_f32(const Params& p, Block& block) { name<float>(p, block); }             \
    HD void name##_f16(const Params& p, Block& block) { name<f16>(p, block); }               \
    HD void name##_bf16(const Params& p, Block& block) { name<bf16>(p, block); }             \
    BLOCKS(name##_f32, Params)                                                               \
    BLOCKS(name##_f16, Params)                                                               \
    BLOCKS(name##_bf16, Params)
