// How a block of layer_styles, or of the demodulation, divides its sums Σ_i rows[n, i] · weights[o, i], for 8 samples and 32 outputs.
#pragma once

#include "../include/vec.cuh"
#include "../include/warp.cuh"
#include "style_parts.h"

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

// StyleParts as kernels see them.
struct Made {
    View<const float, 1> weight_square, gain;
    View<float, 2> raw;  // styles as they are; the workspace, where they are to be normalised, otherwise `styles`
    View<float, 2> styles, demod;
    float epsilon;
    bool normalize;
    int num_parts;
    int tiles_n;  // blocks are (tile of samples, tile of channels or outputs); the former varies fastest
    StylePart parts[MOST_STYLE_PARTS];
    int first_tile[MOST_STYLE_PARTS + 1];
};

// What a block works on: a part, the first sample, and the first of its channels or outputs.
struct Place {
    int part, first_n, first_o;

    __device__ explicit Place(const Made& made) {
        const int tile = blockIdx.x / made.tiles_n;
        first_n = blockIdx.x % made.tiles_n * TILE_N;
        part = 0;
        while (tile >= made.first_tile[part + 1]) ++part;
        first_o = (tile - made.first_tile[part]) * TILE_O;
    }
};

// Sums rows[n, i]·weights[o, i] over i for the tile, and leaves them in shared memory. `change` is applied to each
// term of a row first.
template <int V, class Change>
__device__ const float* sum_tile(Four* stage, const View<const float, 2>& rows, int first_n,
                                 const View<const float, 2>& weights, int first_o, const Change& change) {
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    Sums sums(threadIdx.x);
    for (int first = 0; first < rows.sizes[1]; first += DEPTH) {
        const int i = first + lane * 4;
        Four row = load_four<V>(rows, first_n + warp, i);
        for (int v = 0; v < 4; ++v) row[v] = change(row[v]);
        stage[warp * PITCH + lane] = row;
        for (int o = warp; o < TILE_O; o += WARPS) {
            stage[(WEIGHTS + o) * PITCH + lane] = load_four<V>(weights, first_o + o, i);
        }
        __syncthreads();
        sums.add(stage);
        __syncthreads();
    }
    float* const table = reinterpret_cast<float*>(stage);
    sums.write(table);
    __syncthreads();
    return table;
}

// Divides the parts into tiles of what `size` counts of each; returns how many blocks that makes.
template <class Size>
std::int64_t divide(Made& made, const Size& size) {
    made.first_tile[0] = 0;
    for (int i = 0; i < made.num_parts; ++i) {
        made.first_tile[i + 1] = made.first_tile[i] + ceil_div(size(made.parts[i]), TILE_O);
    }
    return std::int64_t(made.first_tile[made.num_parts]) * made.tiles_n;
}

// Checks the sizes of all, for `num` samples, and returns them as kernels see them.
Made checked(const StyleParts& params, std::int64_t num);

// Throws unless the last dimension has a stride of 1.
void neighbours(const Tensor& tensor, const char* name);

// Divides styles by their largest magnitudes where that is asked for, and computes the factors, in one launch.
void demodulate(const StyleParts& params, Made& made, Queue queue);

}  // namespace higan_fast::style_sums
