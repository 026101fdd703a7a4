// A block takes 8 samples, 8 directions and 32 outputs, so each squared weight that it reads serves 64 pairs. It also
// writes a share of their styles.
#include "perturb_styles.cuh"

#include "../include/dispatch.h"
#include "../include/expect.h"

namespace higan_fast {
namespace perturbation {

struct Problem {
    View<const float, 2> base, directions;
    View<const float, 1> steps;
    View<const float, 2> weight_square;
    View<float, 4> styles, demod;
    float epsilon;
    int slices, tiles_n;  // blocks are (slice, tile of samples, tile of directions); the slice varies fastest
};

// Writes the styles of the tile in every slices-th group of 32 channels. A warp takes one sample, and enough directions
// at once that each lane has V channels.
template <int V>
__device__ void write_styles(const Problem& problem, int slice, int n, int first_m) {
    constexpr int LANES = WARP / V;
    const int lane = threadIdx.x % WARP;
    if (n >= problem.base.sizes[0]) return;
    for (int c = slice * WARP + lane % LANES * V; c < problem.base.sizes[1]; c += problem.slices * WARP) {
        float base[V];
        load_row(base, problem.base, c, n);
        for (int m = first_m + lane / LANES; m < min(first_m + TILE_M, problem.directions.sizes[0]); m += V) {
            float direction[V];
            load_row(direction, problem.directions, c, m);
            for (int s = 0; s < problem.steps.sizes[0]; ++s) {
                const float step = problem.steps(s);
                Vec<float, V> style;
                for (int v = 0; v < V; ++v) style[v] = base[v] + step * direction[v];
                vec_at<V>(problem.styles, 3, n, m, s, c) = style;
            }
        }
    }
}

// rsqrt(a + 2·step·b + step²·c + epsilon); a warp takes one sample, a lane one output. NaN stays NaN.
__device__ inline void write_demod(const Problem& problem, const float* table, int first_n, int first_m,
                                   int first_o) {
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int n = first_n + warp, o = first_o + lane;
    if (n >= problem.base.sizes[0] || o >= problem.weight_square.sizes[0]) return;
    const float a = total(table, ROW_A + warp, lane);
    for (int m = 0; m < min(TILE_M, problem.directions.sizes[0] - first_m); ++m) {
        const float b = total(table, pair_row(warp, m), lane), c = total(table, ROW_C + m, lane);
        for (int s = 0; s < problem.steps.sizes[0]; ++s) {
            const float step = problem.steps(s), square = a + step * (2 * b + step * c);
            problem.demod(n, first_m + m, s, o) = rsqrtf((square < 0 ? 0 : square) + problem.epsilon);
        }
    }
}

template <int V>
__global__ void __launch_bounds__(THREADS, 2) perturb_styles_kernel(Problem problem) {
    SHARED_MEMORY(Four, stage);
    const int thread = threadIdx.x, warp = thread / WARP, lane = thread % WARP;
    const int slice = blockIdx.x % problem.slices, tile = blockIdx.x / problem.slices;
    const int first_n = tile % problem.tiles_n * TILE_N, first_m = tile / problem.tiles_n * TILE_M;
    const int first_o = slice * TILE_O;
    write_styles<V>(problem, slice, first_n + warp, first_m);
    if (first_o >= problem.weight_square.sizes[0]) return;  // always true without a weight

    Sums sums(thread);
    const bool with_pairs = first_m + sums.m < problem.directions.sizes[0];
    for (int first = 0; first < problem.base.sizes[1]; first += DEPTH) {
        const int c = first + lane * 4;
        const auto fill = [&](int row, const Four& four) { stage[row * PITCH + lane] = four; };
        fill(BASES + warp, load_four<V>(problem.base, first_n + warp, c));
        fill(DIRECTIONS + warp, load_four<V>(problem.directions, first_m + warp, c));
        for (int o = warp; o < TILE_O; o += WARPS) {
            fill(WEIGHTS + o, load_four<V>(problem.weight_square, first_o + o, c));
        }
        __syncthreads();
        sums.add(stage, with_pairs);
        __syncthreads();
    }
    float* const table = reinterpret_cast<float*>(stage);
    sums.write(table);
    __syncthreads();
    write_demod(problem, table, first_n, first_m, first_o);
}

static void check(const PerturbStyles& params) {
    expect::rank(params.base, "base", 2);
    expect::rank(params.directions, "directions", 2);
    expect::rank(params.steps, "steps", 1);
    const std::int64_t num = params.base.sizes[0], channels = params.base.sizes[1];
    const std::int64_t num_directions = params.directions.sizes[0], num_steps = params.steps.sizes[0];
    expect::shape(params.directions, "directions", {num_directions, channels});
    expect::shape(params.styles, "styles", {num, num_directions, num_steps, channels});
    if (!params.weight_square.given()) return;
    expect::rank(params.weight_square, "weight_square", 2);
    const std::int64_t outputs = params.weight_square.sizes[0];
    expect::shape(params.weight_square, "weight_square", {outputs, channels});
    expect::shape(params.demod, "demod", {num, num_directions, num_steps, outputs});
}

}  // namespace perturbation

void cuda::perturb_styles(const PerturbStyles& params, Queue queue) {
    using namespace perturbation;
    check(params);
    if (params.styles.num_elements() == 0 && params.demod.num_elements() == 0) return;
    const int num = int(params.base.sizes[0]), channels = int(params.base.sizes[1]);
    const int num_directions = int(params.directions.sizes[0]);
    const int outputs = params.weight_square.given() ? int(params.weight_square.sizes[0]) : 0;
    const int slices = outputs > 0 ? ceil_div(outputs, TILE_O) : ceil_div(channels, WARP);
    const int tiles_n = ceil_div(num, TILE_N), tiles_m = ceil_div(num_directions, TILE_M);
    const std::int64_t blocks = std::int64_t(slices) * tiles_n * tiles_m;
    if (blocks > std::numeric_limits<int>::max()) {
        throw std::invalid_argument("base, directions: got " + std::to_string(num) + " and " +
                                    std::to_string(num_directions) + " rows, expected fewer pairs of them");
    }
    const Problem problem = {
        view<const float, 2>(params.base, "base"),
        view<const float, 2>(params.directions, "directions"),
        view<const float, 1>(params.steps, "steps"),
        view<const float, 2>(params.weight_square, "weight_square"),
        view<float, 4>(params.styles, "styles"),
        view<float, 4>(params.demod, "demod"),
        float(params.epsilon),
        slices,
        tiles_n,
    };
    const int shared_bytes = outputs > 0 ? SHARED_BYTES : 0;
    const bool wide = can_load_rows(params.base) && can_load_rows(params.directions) &&
                      can_load_rows(params.weight_square) && can_load_rows(params.styles);
    dispatch(wide, [&](auto wide) {
        constexpr int V = wide ? 4 : 1;
        LAUNCH(perturb_styles_kernel<V>, dim3(unsigned(blocks)), dim3(THREADS), shared_bytes, queue, problem);
    });
}

}  // namespace higan_fast
