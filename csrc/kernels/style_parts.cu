// One launch for the factors of all layers, which need whole styles. A block takes 8 samples and 32 outputs of one layer.
#include "style_parts.cuh"

#include "../include/dispatch.h"
#include "../include/expect.h"

namespace higan_fast::style_sums {

// The largest magnitude of a row, for the whole warp.
__device__ inline float largest_of(const View<const float, 2>& rows, int n) {
    float largest = 1e-20f;
    if (n < rows.sizes[0]) {
        for (int i = threadIdx.x % WARP; i < rows.sizes[1]; i += WARP) largest = fmaxf(largest, fabsf(rows(n, i)));
    }
    return warp_max(largest);
}

template <int V>
__global__ void __launch_bounds__(THREADS) style_demodulation_kernel(Made made) {
    SHARED_MEMORY(Four, stage);
    const Place place(made);
    const StylePart& part = made.parts[place.part];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, n = place.first_n + warp;
    const View<const float, 2> rows = {made.raw.data + part.first_channel,
                                       {made.raw.sizes[0], part.channels},
                                       {made.raw.strides[0], 1}};
    const View<const float, 2> squares = {
        made.weight_square.data + part.first_square, {part.outputs, part.channels}, {part.channels, 1}};
    float largest = 1;
    if (made.normalize) {
        largest = largest_of(rows, n);
        const int step = (made.first_tile[place.part + 1] - made.first_tile[place.part]) * WARP;
        for (int i = place.first_o + lane; n < rows.sizes[0] && i < part.channels; i += step) {
            made.styles(n, part.first_channel + i) = rows(n, i) / largest;
        }
    }
    const float* const table =
        sum_tile<V>(stage, rows, place.first_n, squares, place.first_o, [largest](float x) {
            const float style = x / largest;
            return style * style;
        });
    const int o = place.first_o + lane;
    if (n >= rows.sizes[0] || o >= part.outputs) return;
    const float factor = rsqrtf(total(table, warp, lane) + made.epsilon);
    const int of_all = part.first_output + o;
    made.demod(n, of_all) = made.gain ? factor * made.gain(of_all) : factor;
}

void neighbours(const Tensor& tensor, const char* name) {
    if (!tensor.given() || tensor.sizes[tensor.rank - 1] < 2 || tensor.strides[tensor.rank - 1] == 1) return;
    expect::refuse(tensor, name, "neighbours along its last dimension");
}

Made checked(const StyleParts& params, std::int64_t num) {
    const std::int64_t channels = params.channels(), outputs = params.outputs();
    expect::shape(params.styles, "styles", {num, channels});
    expect::shape_if_given(params.gain, "gain", {outputs});
    if (params.normalize) expect::shape(params.workspace, "workspace", {num, channels});
    if (outputs > 0) {
        expect::shape(params.weight_square, "weight_square", {params.squares()});
        expect::shape(params.demod, "demod", {num, outputs});
    }
    neighbours(params.weight_square, "weight_square");
    neighbours(params.styles, "styles");
    neighbours(params.workspace, "workspace");
    Made made = {
        view<const float, 1>(params.weight_square, "weight_square"),
        view<const float, 1>(params.gain, "gain"),
        view<float, 2>(params.normalize ? params.workspace : params.styles, "workspace"),
        view<float, 2>(params.styles, "styles"),
        view<float, 2>(params.demod, "demod"),
        float(params.epsilon),
        params.normalize,
        params.num_parts,
        ceil_div(num, TILE_N),
        {},
        {},
    };
    for (int i = 0; i < params.num_parts; ++i) made.parts[i] = params.parts[i];
    return made;
}

void demodulate(const StyleParts& params, Made& made, Queue queue) {
    const std::int64_t blocks = divide(made, [](const StylePart& part) { return part.outputs; });
    if (blocks == 0) return;
    bool aligned = can_load_rows(params.weight_square) &&
                   can_load_rows(params.normalize ? params.workspace : params.styles);
    for (int i = 0; i < params.num_parts; ++i) aligned = aligned && params.parts[i].channels % 4 == 0;
    dispatch(aligned, [&](auto wide) {
        constexpr int V = wide ? 4 : 1;
        LAUNCH(style_demodulation_kernel<V>, dim3(num_blocks(blocks)), dim3(THREADS), SHARED_BYTES, queue, made);
    });
}

}  // namespace higan_fast::style_sums
