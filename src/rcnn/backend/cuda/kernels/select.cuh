// What selections are made of: the best items of many, and those items that stay.
#pragma once
#include <cstring>

#include "kernel.cuh"

// The threads that a block works with; blocks of fewer give the same.
constexpr int THREADS = 1024;
// At most so many are selected.
constexpr int TOP_K_MOST = 4096;
// Of the radix selection's digits, and into how many groups their counts are summed.
constexpr int BINS = 2048;
constexpr int GROUPS = 64;
// The key of what is not to be selected.
constexpr uint64_t NO_KEY = ~0ull;

// What `top_k` and `compact` share.
struct TopK {
    uint64_t keys[TOP_K_MOST];
    union {
        int bins[BINS];
        struct {
            uint32_t bits[THREADS];
            int sums[THREADS];
        };
    };
    int groups[GROUPS + 1];
    int need, found, count, done;
    uint64_t prefix, limit;
};
static_assert(sizeof(TopK) == 41256, "TOP_K_SHARED in params.rs");

// Smaller is better: the score's total order upside down, then the index.
HD uint64_t key_of(float score, uint32_t index) {
    uint32_t bits;
    memcpy(&bits, &score, 4);
    const uint32_t ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (uint64_t)~ascending << 32 | index;
}

HD uint32_t index_of(uint64_t key) { return (uint32_t)key; }

// Calls f(key) for one thread's share of key(0..n); some keys are read ahead, since f may hold loads back.
template <class K, class F> HD void visit_keys(int thread, int n, K key, F f) {
    constexpr int AHEAD = 4;
    for (int first = thread; first < n; first += AHEAD * THREADS) {
        uint64_t keys[AHEAD];
        for (int j = 0; j < AHEAD; j++) {
            const int i = first + j * THREADS;
            keys[j] = i < n ? key(i) : NO_KEY;
        }
        for (int j = 0; j < AHEAD; j++) {
            if (keys[j] != NO_KEY) f(keys[j]);
        }
    }
}

// Counts the next digit, of `width` bits above `shift`, of all keys that begin with s.prefix.
template <class K> HD void count_digits(Block& block, int n, K key, int shift, int width, TopK& s) {
    block.each(BINS, [&](int i) { s.bins[i] = 0; });
    block.each(THREADS, [&](int thread) {
        // Most logits have the same first digit: runs of one are counted before they are added.
        int bin = 0, run = 0;
        visit_keys(thread, n, key, [&](uint64_t k) {
            if (k >> shift >> width != s.prefix) return;
            const int digit = (int)(k >> shift) & ((1 << width) - 1);
            if (digit != bin) {
                if (run > 0) atomic_add(&s.bins[bin], run);
                bin = digit;
                run = 0;
            }
            run++;
        });
        if (run > 0) atomic_add(&s.bins[bin], run);
    });
    block.each(GROUPS, [&](int group) {
        int sum = 0;
        for (int i = 0; i < BINS / GROUPS; i++) sum += s.bins[group * (BINS / GROUPS) + i];
        s.groups[group] = sum;
    });
}

// Sorts n keys, a power of two.
HD void sort_keys(Block& block, uint64_t* keys, int n) {
    for (int size = 2; size <= n; size *= 2) {
        for (int step = size / 2; step > 0; step /= 2) {
            block.each(n / 2, [&](int i) {
                const int low = (i & ~(step - 1)) << 1 | (i & (step - 1)), high = low + step;
                const uint64_t a = keys[low], b = keys[high];
                if ((a > b) == ((low & size) == 0)) {
                    keys[low] = b;
                    keys[high] = a;
                }
            });
        }
    }
}

// Puts the smallest k of key(0..n) into s.keys, in order. Keys differ; `count` of them are not NO_KEY; k ≤ count, k ≤
// TOP_K_MOST. All threads give the same n, count and k, and s is no longer in use.
template <class K> HD void top_k(Block& block, int n, int count, int k, K key, TopK& s) {
    block.once([&] {
        s.prefix = 0;
        s.limit = NO_KEY;
        s.need = k;
        s.found = 0;
        s.done = count <= k;
    });
    // A score's 32 bits as three digits, then the index's. `done` is read behind a barrier, and changes behind the next
    // ones.
    for (int digit = 0, shift = 64; !s.done; digit++) {
        const int width = digit % 3 == 2 ? 10 : 11;
        shift -= width;
        count_digits(block, n, key, shift, width, s);
        block.once([&] {
            int need = s.need, group = 0;
            while (s.groups[group] < need) need -= s.groups[group++];
            int bin = group * (BINS / GROUPS);
            while (s.bins[bin] < need) need -= s.bins[bin++];
            s.need = need;
            s.prefix = s.prefix << width | (uint64_t)bin;
            s.limit = ((s.prefix + 1) << shift) - 1;
            s.done = s.bins[bin] == need;
        });
    }
    block.each(THREADS, [&](int thread) {
        visit_keys(thread, n, key, [&](uint64_t value) {
            if (value <= s.limit) s.keys[atomic_add(&s.found, 1)] = value;
        });
    });
    int size = 1;
    while (size < k) size *= 2;
    block.each(size - k, [&](int i) { s.keys[k + i] = NO_KEY; });
    sort_keys(block, s.keys, size);
}

// Replaces each value by the sum of those before it; groups[GROUPS] becomes the sum of all.
HD void sums_before(Block& block, int* values, int n, int* groups) {
    const int per_group = (n + GROUPS - 1) / GROUPS;
    block.each(GROUPS, [&](int group) {
        const int end = min_of((group + 1) * per_group, n);
        int sum = 0;
        for (int i = group * per_group; i < end; i++) sum += values[i];
        groups[group] = sum;
    });
    block.once([&] {
        int sum = 0;
        for (int group = 0; group < GROUPS; group++) {
            const int own = groups[group];
            groups[group] = sum;
            sum += own;
        }
        groups[GROUPS] = sum;
    });
    block.each(GROUPS, [&](int group) {
        const int end = min_of((group + 1) * per_group, n);
        int sum = groups[group];
        for (int i = group * per_group; i < end; i++) {
            const int own = values[i];
            values[i] = sum;
            sum += own;
        }
    });
}

// Calls put(i, at) for each i in 0..n for which keep(i) says so, `at` counting them; s.groups[GROUPS] is how many there
// are. s.keys stay as they are. n ≤ 32 · THREADS.
template <class Keep, class Put> HD void compact(Block& block, int n, TopK& s, Keep keep, Put put) {
    const int per_thread = (n + THREADS - 1) / THREADS;
    block.each(THREADS, [&](int thread) {
        uint32_t bits = 0;
        int sum = 0;
        for (int j = 0; j < per_thread; j++) {
            const int i = thread * per_thread + j;
            if (i < n && keep(i)) {
                bits |= 1u << j;
                sum++;
            }
        }
        s.bits[thread] = bits;
        s.sums[thread] = sum;
    });
    sums_before(block, s.sums, THREADS, s.groups);
    block.each(THREADS, [&](int thread) {
        int at = s.sums[thread];
        for (int j = 0; j < per_thread; j++) {
            if (s.bits[thread] >> j & 1) put(thread * per_thread + j, at++);
        }
    });
}
