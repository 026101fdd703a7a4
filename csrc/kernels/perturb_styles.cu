// Two launches: one that moves the styles of all layers, one for their demodulation factors. A thread of the first writes
// up to four neighbouring channels of one entry.
#include <cmath>

#include "style_parts.cuh"

#include "../include/dispatch.h"
#include "../include/expect.h"
#include "perturb_styles.h"

namespace higan_fast {
namespace perturbation {

using style_sums::Made;

struct Problem {
    View<const float, 2> base, directions;
    View<const std::int64_t, 1> source, direction;
    View<const float, 1> steps;
    View<float, 2> raw, styles;  // as in Made
    bool normalize;
    int blocks_c;  // blocks are (run of channels, entry); the former varies fastest
};

constexpr int BLOCK = 256;  // threads

__device__ inline bool has_row(const View<const float, 2>& rows, std::int64_t index) {
    return index >= 0 && index < rows.sizes[0];
}

template <int V>
__global__ void __launch_bounds__(BLOCK) perturb_styles_kernel(Problem problem) {
    const int k = blockIdx.x / problem.blocks_c, c = (blockIdx.x % problem.blocks_c * BLOCK + threadIdx.x) * V;
    if (c >= problem.styles.sizes[1]) return;
    const std::int64_t source = problem.source(k), direction = problem.direction(k);
    Vec<float, V> style;
    for (int v = 0; v < V; ++v) style[v] = NAN;
    if (has_row(problem.base, source) && has_row(problem.directions, direction)) {
        const Vec<float, V> from = vec_at<V>(problem.base, 1, int(source), c);
        const Vec<float, V> along = vec_at<V>(problem.directions, 1, int(direction), c);
        const float step = problem.steps(k);
        for (int v = 0; v < V; ++v) style[v] = from[v] + step * along[v];
    }
    vec_at<V>(problem.raw, 1, k, c) = style;
    // Those that are demodulated are normalised by the next launch.
    if (problem.normalize) vec_at<V>(problem.styles, 1, k, c) = style;
}

static void check(const PerturbStyles& params) {
    expect::rank(params.base, "base", 2);
    expect::rank(params.directions, "directions", 2);
    expect::rank(params.steps, "steps", 1);
    const std::int64_t num = params.steps.sizes[0], channels = params.made.channels();
    expect::shape(params.base, "base", {params.base.sizes[0], channels});
    expect::shape(params.directions, "directions", {params.directions.sizes[0], channels});
    expect::shape(params.source, "source", {num});
    expect::shape(params.direction, "direction", {num});
    style_sums::neighbours(params.base, "base");
    style_sums::neighbours(params.directions, "directions");
}

}  // namespace perturbation

void cuda::perturb_styles(const PerturbStyles& params, Queue queue) {
    using namespace perturbation;
    check(params);
    Made made = style_sums::checked(params.made, params.steps.sizes[0]);
    if (params.made.styles.num_elements() == 0) return;
    const bool wide = can_load_rows(params.base) && can_load_rows(params.directions) &&
                      can_load_rows(params.made.styles) && can_load_rows(params.made.workspace);
    const int blocks_c = ceil_div(params.made.channels(), BLOCK * (wide ? 4 : 1));
    const Problem problem = {
        view<const float, 2>(params.base, "base"),
        view<const float, 2>(params.directions, "directions"),
        view<const std::int64_t, 1>(params.source, "source"),
        view<const std::int64_t, 1>(params.direction, "direction"),
        view<const float, 1>(params.steps, "steps"),
        made.raw,
        made.styles,
        made.normalize,
        blocks_c,
    };
    const std::int64_t blocks = params.steps.sizes[0] * blocks_c;
    dispatch(wide, [&](auto wide) {
        constexpr int V = wide ? 4 : 1;
        LAUNCH(perturb_styles_kernel<V>, dim3(num_blocks(blocks)), dim3(BLOCK), 0, queue, problem);
    });
    style_sums::demodulate(params.made, made, queue);
}

}  // namespace higan_fast
