// Two launches: one for the styles of all layers, one for their demodulation factors. A block takes 8 samples and 32
// channels of one layer.
#include "style_parts.cuh"

#include "../include/dispatch.h"
#include "../include/expect.h"
#include "layer_styles.h"

namespace higan_fast {
namespace style_sums {

struct Problem {
    View<const float, 3> codes;
    View<const float, 2> weight;
    View<const float, 1> bias;
    Made made;
};

template <int V>
__global__ void __launch_bounds__(THREADS) layer_styles_kernel(Problem problem) {
    SHARED_MEMORY(Four, stage);
    const Place place(problem.made);
    const StylePart& part = problem.made.parts[place.part];
    const View<const float, 3>& codes = problem.codes;
    const View<const float, 2> rows = {
        codes.data + codes.offset(0, part.code, 0), {codes.sizes[0], codes.sizes[2]}, {codes.strides[0], 1}};
    const View<const float, 2> weights = {problem.weight.data + problem.weight.offset(part.first_channel, 0),
                                          {part.channels, rows.sizes[1]},
                                          {problem.weight.strides[0], 1}};
    const float* const table =
        sum_tile<V>(stage, rows, place.first_n, weights, place.first_o, [](float x) { return x; });
    const int n_in_tile = threadIdx.x / WARP, o_in_tile = threadIdx.x % WARP;
    const int n = place.first_n + n_in_tile, i = place.first_o + o_in_tile, c = part.first_channel + i;
    if (n >= rows.sizes[0] || i >= part.channels) return;
    const View<float, 2>& to = part.outputs > 0 ? problem.made.raw : problem.made.styles;
    to(n, c) = total(table, n_in_tile, o_in_tile) + problem.bias(c);
}

static void check(const LayerStyles& params) {
    expect::rank(params.codes, "codes", 3);
    const std::int64_t channels = params.made.channels();
    for (int i = 0; i < params.made.num_parts; ++i) {
        const int code = params.made.parts[i].code;
        if (code < 0 || code >= params.codes.sizes[1]) {
            throw std::invalid_argument("parts: got code " + std::to_string(code) + ", expected 0 to " +
                                        std::to_string(params.codes.sizes[1] - 1));
        }
    }
    expect::shape(params.weight, "weight", {channels, params.codes.sizes[2]});
    expect::shape(params.bias, "bias", {channels});
    neighbours(params.codes, "codes");
    neighbours(params.weight, "weight");
}

}  // namespace style_sums

void cuda::layer_styles(const LayerStyles& params, Queue queue) {
    using namespace style_sums;
    check(params);
    Problem problem = {
        view<const float, 3>(params.codes, "codes"),
        view<const float, 2>(params.weight, "weight"),
        view<const float, 1>(params.bias, "bias"),
        checked(params.made, params.codes.sizes[0]),
    };
    if (params.made.styles.num_elements() == 0) return;
    const std::int64_t blocks = divide(problem.made, [](const StylePart& part) { return part.channels; });
    dispatch(can_load_rows(params.codes) && can_load_rows(params.weight), [&](auto wide) {
        constexpr int V = wide ? 4 : 1;
        LAUNCH(layer_styles_kernel<V>, dim3(num_blocks(blocks)), dim3(THREADS), SHARED_BYTES, queue, problem);
    });
    demodulate(params.made, problem.made, queue);
}

}  // namespace higan_fast
