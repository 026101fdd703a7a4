// Filters along one axis of a matrix in shared memory: upsampling, and downsampling.
#pragma once

#include "../include/warp.cuh"
#include "filtered_lrelu.h"

namespace higan_fast {

// What is known when compiling: factors, and taps of the filters along each axis. 0: known only when launching.
template <int UP_, int UP_TAPS_, int DOWN_, int DOWN_TAPS_>
struct FilterShape {
    static constexpr int UP = UP_, UP_TAPS = UP_TAPS_, DOWN = DOWN_, DOWN_TAPS = DOWN_TAPS_;
    static constexpr bool IS_KNOWN = UP > 0;
};

// Lines of numbers in shared memory: number i of a line is at line·across + i·along.
struct Lines {
    float* data;
    int num, length, across, along;

    __device__ float& at(int line, int i) const { return data[line * across + i * along]; }
};

// Upsampled number i is the sum over k of taps[tap + k·up]·from[first + k]; `lead` (below up) is the tap that the tile's
// first number begins with.
struct UpsampledPlace {
    int first, tap;

    __device__ UpsampledPlace(int i, int up, int lead) : first((i + up - 1 - lead) / up), tap(first * up + lead - i) {}
};

// store(line, i, number) for each number i < length of each line.
template <class Shape, class Store>
__device__ void upsample(const Lines& from, int length, const float* taps, int num_taps, int up, int lead,
                         const Store& store) {
    if constexpr (Shape::IS_KNOWN) {
        // A thread makes some groups of UP neighbours, which are sums of the same inputs.
        constexpr int UP = Shape::UP, K = Shape::UP_TAPS / UP, GROUPS = 8 / UP;
        static_assert(K * UP == Shape::UP_TAPS, "each upsampled number meets as many taps");
        float tap[UP][K];
        UNROLL for (int p = 0; p < UP; ++p) {
            UNROLL for (int k = 0; k < K; ++k) tap[p][k] = taps[p + k * UP];
        }
        const int num_groups = (length - 1 - lead + UP - 1) / UP + 1;
        const int jobs = from.num * ((num_groups + GROUPS - 1) / GROUPS);
        for (int job = threadIdx.x; job < jobs; job += blockDim.x) {
            const int line = job % from.num, group = job / from.num * GROUPS;
            float inputs[GROUPS + K - 1];
            UNROLL for (int k = 0; k < GROUPS + K - 1; ++k) {
                inputs[k] = group + k < from.length ? from.at(line, group + k) : 0;
            }
            UNROLL for (int g = 0; g < GROUPS; ++g) {
                UNROLL for (int p = 0; p < UP; ++p) {
                    const int i = lead + (group + g) * UP - p;
                    float sum = 0;
                    UNROLL for (int k = 0; k < K; ++k) sum += tap[p][k] * inputs[g + k];
                    if (unsigned(i) < unsigned(length)) store(line, i, sum);
                }
            }
        }
    } else {
        for (int job = threadIdx.x; job < from.num * length; job += blockDim.x) {
            const int line = job % from.num, i = job / from.num;
            UpsampledPlace place(i, up, lead);
            float sum = 0;
            for (int tap = place.tap; tap < num_taps; tap += up) sum += taps[tap] * from.at(line, place.first++);
            store(line, i, sum);
        }
    }
}

// store(line, i, Σ_t taps[t]·from[i·down + t]) for each i < length of each line.
template <class Shape, class Store>
__device__ void downsample(const Lines& from, int length, const float* taps, int num_taps, int down,
                           const Store& store) {
    if constexpr (Shape::IS_KNOWN) {
        constexpr int DOWN = Shape::DOWN, K = Shape::DOWN_TAPS, NUM = 4;  // of neighbours, which share most inputs
        float tap[K];
        UNROLL for (int k = 0; k < K; ++k) tap[k] = taps[k];
        const int jobs = from.num * ((length + NUM - 1) / NUM);
        for (int job = threadIdx.x; job < jobs; job += blockDim.x) {
            const int line = job % from.num, first = job / from.num * NUM;
            float sums[NUM] = {};
            UNROLL for (int i = 0; i < (NUM - 1) * DOWN + K; ++i) {
                const float input = first * DOWN + i < from.length ? from.at(line, first * DOWN + i) : 0;
                UNROLL for (int o = 0; o < NUM; ++o) {
                    if (i >= o * DOWN && i < o * DOWN + K) sums[o] += tap[i - o * DOWN] * input;
                }
            }
            UNROLL for (int o = 0; o < NUM; ++o) {
                if (first + o < length) store(line, first + o, sums[o]);
            }
        }
    } else {
        for (int job = threadIdx.x; job < from.num * length; job += blockDim.x) {
            const int line = job % from.num, i = job / from.num;
            float sum = 0;
            for (int t = 0; t < num_taps; ++t) sum += taps[t] * from.at(line, i * down + t);
            store(line, i, sum);
        }
    }
}

// The same along both axes of a matrix, by taps [height, width]: store(column, row, sum).
template <class Shape, class Store>
__device__ void downsample_plane(const Lines& columns, int num_columns, int num_rows, const float* taps, int height,
                                 int width, int down, const Store& store) {
    if constexpr (Shape::IS_KNOWN) {
        constexpr int DOWN = Shape::DOWN, K = Shape::DOWN_TAPS, NUM = 4;
        const int jobs = num_columns * ((num_rows + NUM - 1) / NUM);
        for (int job = threadIdx.x; job < jobs; job += blockDim.x) {
            const int column = job % num_columns, first = job / num_columns * NUM;
            float sums[NUM] = {};
            NO_UNROLL for (int j = 0; j < K; ++j) {
                float tap[K];
                UNROLL for (int k = 0; k < K; ++k) tap[k] = taps[k * K + j];
                UNROLL for (int i = 0; i < (NUM - 1) * DOWN + K; ++i) {
                    const int row = first * DOWN + i;
                    const float input = row < columns.length ? columns.at(column * DOWN + j, row) : 0;
                    UNROLL for (int o = 0; o < NUM; ++o) {
                        if (i >= o * DOWN && i < o * DOWN + K) sums[o] += tap[i - o * DOWN] * input;
                    }
                }
            }
            UNROLL for (int o = 0; o < NUM; ++o) {
                if (first + o < num_rows) store(column, first + o, sums[o]);
            }
        }
    } else {
        for (int job = threadIdx.x; job < num_columns * num_rows; job += blockDim.x) {
            const int column = job % num_columns, row = job / num_columns;
            float sum = 0;
            for (int i = 0; i < height; ++i) {
                for (int j = 0; j < width; ++j) {
                    sum += taps[i * width + j] * columns.at(column * down + j, row * down + i);
                }
            }
            store(column, row, sum);
        }
    }
}

}  // namespace higan_fast
