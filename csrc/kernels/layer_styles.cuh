// How a block of layer_styles divides its sums Σ_i rows[n, i] · weights[o, i], for 8 samples and 32 outputs.
#pragma once

#include "../include/vec.cuh"
#include "../include/warp.cuh"
#include "layer_styles.h"

namespace higan_fast::style_sums {

constexpr int TILE_N = 8, TILE_O = 32;  // of a block
constexpr int OWN_N = 2, OWN_O = 4;     // of a thread
constexpr int DEPTH = 128;              // terms in shared memory at a time
constexpr int WARPS = 8, THREADS = WARPS * WARP;
static_assert((TILE_N / OWN_N) * (TILE_O / OWN_O) == WARP, "a warp adds an eighth of the terms of the whole tile");
static_assert(WARPS == TILE_N && TILE_O == WARP, "a warp loads and finishes one n, a lane one o");

// The stage: rows of terms, in vectors of four. One extra vector per row puts eight rows into different banks.
using Four = Vec<float, 4>;
constexpr int PITCH = DEPTH / 4 + 1;
constexpr int WEIGHTS = TILE_N, STAGE_ROWS = TILE_N + TILE_O;

// The sums, which reuse the stage's memory: for each warp a table [n, o]. The pitch avoids bank conflicts.
constexpr int SUM_PITCH = TILE_O + 4;
constexpr int SHARED_BYTES = STAGE_ROWS * PITCH * int(sizeof(Four));
static_assert(SHARED_BYTES >= WARPS * TILE_N * SUM_PITCH * int(sizeof(float)), "the sums fit the stage");
static_assert(SHARED_BYTES <= STATIC_SHARED_LIMIT, "");

// One thread's share: OWN_N samples × OWN_O outputs that are STEP_O apart, over the terms of its warp.
struct Sums {
    static constexpr int STEP_O = TILE_O / OWN_O;

    int warp, n, o;
    float sums[OWN_N][OWN_O] = {};

    __device__ explicit Sums(int thread)
        : warp(thread / WARP), n(thread % WARP / STEP_O * OWN_N), o(thread % STEP_O) {}

    // Adds the products of the terms in the stage.
    __device__ void add(const Four* stage) {
        constexpr int STEPS = DEPTH / 4 / WARPS;
        UNROLL for (int step = 0; step < STEPS; ++step) {
            const Four* const column = stage + warp * STEPS + step;
            Four weights[OWN_O];
            UNROLL for (int j = 0; j < OWN_O; ++j) weights[j] = column[(WEIGHTS + o + j * STEP_O) * PITCH];
            UNROLL for (int i = 0; i < OWN_N; ++i) {
                const Four row = column[(n + i) * PITCH];
                UNROLL for (int v = 0; v < 4; ++v) {
                    UNROLL for (int j = 0; j < OWN_O; ++j) sums[i][j] += row[v] * weights[j][v];
                }
            }
        }
    }

    __device__ void write(float* table) const {
        UNROLL for (int i = 0; i < OWN_N; ++i) {
            float* const row = table + (warp * TILE_N + n + i) * SUM_PITCH + o;
            UNROLL for (int j = 0; j < OWN_O; ++j) row[j * STEP_O] = sums[i][j];
        }
    }
};

// The sum over all terms for one sample and one output of the tile.
__device__ inline float total(const float* table, int n, int o) {
    float sum = 0;
    UNROLL for (int warp = 0; warp < WARPS; ++warp) sum += table[(warp * TILE_N + n) * SUM_PITCH + o];
    return sum;
}

}  // namespace higan_fast::style_sums
