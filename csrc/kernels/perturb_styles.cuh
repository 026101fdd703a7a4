// How a block of perturb_styles divides its sums Σ_i rows[r, i] · weight_square[o, i]. The rows are the products
// base·direction of 8 × 8 pairs, the squares of these 8 bases, and the squares of these 8 directions.
#pragma once

#include "../include/vec.cuh"
#include "../include/warp.cuh"
#include "perturb_styles.h"

namespace higan_fast::perturbation {

constexpr int TILE_N = 8, TILE_M = 8, TILE_O = 32;  // of a block
constexpr int OWN_N = 2, OWN_M = 4, OWN_O = 4;      // of a thread
constexpr int DEPTH = 128;                          // channels in shared memory at a time
constexpr int SPLITS = 4;                           // groups of threads that divide these channels
constexpr int THREADS = SPLITS * (TILE_N / OWN_N) * (TILE_M / OWN_M) * (TILE_O / OWN_O);
constexpr int WARPS = THREADS / WARP;
static_assert(WARPS == TILE_N && TILE_O == WARP, "a warp finishes one n, a lane one o");

// The stage: rows of channels, in vectors of four. One extra vector per row puts eight rows into different banks.
using Four = Vec<float, 4>;
constexpr int PITCH = DEPTH / 4 + 1;
constexpr int BASES = 0, DIRECTIONS = TILE_N, WEIGHTS = TILE_N + TILE_M, STAGE_ROWS = WEIGHTS + TILE_O;

// The sums, which reuse the stage's memory: for each split a table with rows [pairs, a, c] and columns o. The pitch
// avoids bank conflicts when a warp writes.
constexpr int ROW_A = TILE_N * TILE_M, ROW_C = ROW_A + TILE_N, SUM_ROWS = ROW_C + TILE_M;
constexpr int SUM_PITCH = TILE_O + 4;
constexpr int SHARED_BYTES = SPLITS * SUM_ROWS * SUM_PITCH * int(sizeof(float));
static_assert(SHARED_BYTES >= STAGE_ROWS * PITCH * int(sizeof(Four)) && SHARED_BYTES <= STATIC_SHARED_LIMIT, "");

HOST_DEVICE constexpr int pair_row(int n, int m) { return m * TILE_N + n; }

// One thread's share: OWN_N × OWN_M pairs, one a and one c, for OWN_O outputs that are STEP_O apart, over the channels
// of its split.
struct Sums {
    static constexpr int STEP_O = TILE_O / OWN_O, STEP_N = TILE_N / OWN_N;

    int split, n, m, extra, o;  // within the tile; `extra` is the n of its a and the m of its c
    float a[OWN_O] = {}, b[OWN_N][OWN_M][OWN_O] = {}, c[OWN_O] = {};

    __device__ explicit Sums(int thread) {
        o = thread % STEP_O;
        extra = thread / STEP_O % (STEP_N * (TILE_M / OWN_M));
        n = extra % STEP_N * OWN_N;
        m = extra / STEP_N * OWN_M;
        split = thread / (THREADS / SPLITS);
    }

    // Adds the products of the channels in the stage; may skip pairs that do not exist.
    __device__ void add(const Four* stage, bool with_pairs) {
        constexpr int STEPS = DEPTH / 4 / SPLITS;
        NO_UNROLL for (int step = 0; step < STEPS; ++step) {
            const Four* const column = stage + split * STEPS + step;
            Four weights[OWN_O];
            UNROLL for (int j = 0; j < OWN_O; ++j) weights[j] = column[(WEIGHTS + o + j * STEP_O) * PITCH];
            const Four base = column[(BASES + extra) * PITCH], direction = column[(DIRECTIONS + extra) * PITCH];
            UNROLL for (int v = 0; v < 4; ++v) {
                UNROLL for (int j = 0; j < OWN_O; ++j) {
                    a[j] += base[v] * base[v] * weights[j][v];
                    c[j] += direction[v] * direction[v] * weights[j][v];
                }
            }
            if (!with_pairs) continue;
            Four bases[OWN_N], directions[OWN_M];
            UNROLL for (int i = 0; i < OWN_N; ++i) bases[i] = column[(BASES + n + i) * PITCH];
            UNROLL for (int i = 0; i < OWN_M; ++i) directions[i] = column[(DIRECTIONS + m + i) * PITCH];
            UNROLL for (int v = 0; v < 4; ++v) {
                UNROLL for (int i = 0; i < OWN_N; ++i) {
                    UNROLL for (int k = 0; k < OWN_M; ++k) {
                        const float product = bases[i][v] * directions[k][v];
                        UNROLL for (int j = 0; j < OWN_O; ++j) b[i][k][j] += product * weights[j][v];
                    }
                }
            }
        }
    }

    __device__ void write(float* table) const {
        float* const row = table + split * SUM_ROWS * SUM_PITCH + o;
        UNROLL for (int j = 0; j < OWN_O; ++j) {
            const int column = j * STEP_O;
            row[(ROW_A + extra) * SUM_PITCH + column] = a[j];
            row[(ROW_C + extra) * SUM_PITCH + column] = c[j];
            UNROLL for (int i = 0; i < OWN_N; ++i) {
                UNROLL for (int k = 0; k < OWN_M; ++k) {
                    row[pair_row(n + i, m + k) * SUM_PITCH + column] = b[i][k][j];
                }
            }
        }
    }
};

// A row's sum over all channels.
__device__ inline float total(const float* table, int row, int o) {
    float sum = 0;
    UNROLL for (int split = 0; split < SPLITS; ++split) sum += table[(split * SUM_ROWS + row) * SUM_PITCH + o];
    return sum;
}

}  // namespace higan_fast::perturbation
