// Two launches: one for the styles of all layers, one for their demodulation factors, which need whole styles. A block
// takes 8 samples and 32 channels, or outputs, of one layer.
#include "layer_styles.cuh"

#include "../include/dispatch.h"
#include "../include/expect.h"

namespace higan_fast {
namespace style_sums {

struct Problem {
    View<const float, 3> codes;
    View<const float, 2> weight;
    View<const float, 1> bias, weight_square, gain;
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

    __device__ explicit Place(const Problem& problem) {
        const int tile = blockIdx.x / problem.tiles_n;
        first_n = blockIdx.x % problem.tiles_n * TILE_N;
        part = 0;
        while (tile >= problem.first_tile[part + 1]) ++part;
        first_o = (tile - problem.first_tile[part]) * TILE_O;
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

template <int V>
__global__ void __launch_bounds__(THREADS) layer_styles_kernel(Problem problem) {
    SHARED_MEMORY(Four, stage);
    const Place place(problem);
    const StylePart& part = problem.parts[place.part];
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
    const View<float, 2>& to = part.outputs > 0 ? problem.raw : problem.styles;
    to(n, c) = total(table, n_in_tile, o_in_tile) + problem.bias(c);
}

// The largest magnitude of a row, for the whole warp.
__device__ inline float largest_of(const View<const float, 2>& rows, int n) {
    float largest = 1e-20f;
    if (n < rows.sizes[0]) {
        for (int i = threadIdx.x % WARP; i < rows.sizes[1]; i += WARP) largest = fmaxf(largest, fabsf(rows(n, i)));
    }
    return warp_max(largest);
}

template <int V>
__global__ void __launch_bounds__(THREADS) layer_demodulation_kernel(Problem problem) {
    SHARED_MEMORY(Four, stage);
    const Place place(problem);
    const StylePart& part = problem.parts[place.part];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, n = place.first_n + warp;
    const View<const float, 2> rows = {problem.raw.data + part.first_channel,
                                       {problem.raw.sizes[0], part.channels},
                                       {problem.raw.strides[0], 1}};
    const View<const float, 2> squares = {
        problem.weight_square.data + part.first_square, {part.outputs, part.channels}, {part.channels, 1}};
    float largest = 1;
    if (problem.normalize) {
        largest = largest_of(rows, n);
        const int step = (problem.first_tile[place.part + 1] - problem.first_tile[place.part]) * WARP;
        for (int i = place.first_o + lane; n < rows.sizes[0] && i < part.channels; i += step) {
            problem.styles(n, part.first_channel + i) = rows(n, i) / largest;
        }
    }
    const float* const table =
        sum_tile<V>(stage, rows, place.first_n, squares, place.first_o, [largest](float x) {
            const float style = x / largest;
            return style * style;
        });
    const int o = place.first_o + lane;
    if (n >= rows.sizes[0] || o >= part.outputs) return;
    const float factor = rsqrtf(total(table, warp, lane) + problem.epsilon);
    const int of_all = part.first_output + o;
    problem.demod(n, of_all) = problem.gain ? factor * problem.gain(of_all) : factor;
}

static void neighbours(const Tensor& tensor, const char* name) {
    if (!tensor.given() || tensor.sizes[tensor.rank - 1] < 2 || tensor.strides[tensor.rank - 1] == 1) return;
    expect::refuse(tensor, name, "neighbours along its last dimension");
}

static void check(const LayerStyles& params) {
    if (params.num_parts < 1 || params.num_parts > MOST_STYLE_PARTS) {
        throw std::invalid_argument("parts: got " + std::to_string(params.num_parts) + ", expected 1 to " +
                                    std::to_string(MOST_STYLE_PARTS));
    }
    expect::rank(params.codes, "codes", 3);
    const StylePart& last = params.parts[params.num_parts - 1];
    const std::int64_t num = params.codes.sizes[0], depth = params.codes.sizes[2];
    const std::int64_t channels = last.first_channel + last.channels, outputs = last.first_output + last.outputs;
    const std::int64_t squares = last.first_square + std::int64_t(last.outputs) * last.channels;
    for (int i = 0; i < params.num_parts; ++i) {
        if (params.parts[i].code < 0 || params.parts[i].code >= params.codes.sizes[1]) {
            throw std::invalid_argument("parts: got code " + std::to_string(params.parts[i].code) + ", expected 0 to " +
                                        std::to_string(params.codes.sizes[1] - 1));
        }
    }
    expect::shape(params.weight, "weight", {channels, depth});
    expect::shape(params.bias, "bias", {channels});
    expect::shape(params.styles, "styles", {num, channels});
    expect::shape_if_given(params.gain, "gain", {outputs});
    if (params.normalize) expect::shape(params.workspace, "workspace", {num, channels});
    if (outputs > 0) {
        expect::shape(params.weight_square, "weight_square", {squares});
        expect::shape(params.demod, "demod", {num, outputs});
    }
    neighbours(params.codes, "codes");
    neighbours(params.weight, "weight");
    neighbours(params.weight_square, "weight_square");
    neighbours(params.styles, "styles");
    neighbours(params.workspace, "workspace");
}

// Divides the parts into tiles of what `size` counts of each; returns how many blocks that makes.
template <class Size>
std::int64_t divide(Problem& problem, const Size& size) {
    problem.first_tile[0] = 0;
    for (int i = 0; i < problem.num_parts; ++i) {
        problem.first_tile[i + 1] = problem.first_tile[i] + ceil_div(size(problem.parts[i]), TILE_O);
    }
    return std::int64_t(problem.first_tile[problem.num_parts]) * problem.tiles_n;
}

}  // namespace style_sums

void cuda::layer_styles(const LayerStyles& params, Queue queue) {
    using namespace style_sums;
    check(params);
    if (params.styles.num_elements() == 0) return;
    Problem problem = {
        view<const float, 3>(params.codes, "codes"),
        view<const float, 2>(params.weight, "weight"),
        view<const float, 1>(params.bias, "bias"),
        view<const float, 1>(params.weight_square, "weight_square"),
        view<const float, 1>(params.gain, "gain"),
        view<float, 2>(params.normalize ? params.workspace : params.styles, "workspace"),
        view<float, 2>(params.styles, "styles"),
        view<float, 2>(params.demod, "demod"),
        float(params.epsilon),
        params.normalize,
        params.num_parts,
        ceil_div(params.codes.sizes[0], TILE_N),
        {},
        {},
    };
    bool aligned = can_load_rows(params.weight_square);
    for (int i = 0; i < params.num_parts; ++i) {
        problem.parts[i] = params.parts[i];
        aligned = aligned && params.parts[i].channels % 4 == 0;
    }
    const std::int64_t blocks = divide(problem, [](const StylePart& part) { return part.channels; });
    dispatch(can_load_rows(params.codes) && can_load_rows(params.weight), [&](auto wide) {
        constexpr int V = wide ? 4 : 1;
        LAUNCH(layer_styles_kernel<V>, dim3(num_blocks(blocks)), dim3(THREADS), SHARED_BYTES, queue, problem);
    });
    const std::int64_t more = divide(problem, [](const StylePart& part) { return part.outputs; });
    if (more == 0) return;
    dispatch(aligned && can_load_rows(params.normalize ? params.workspace : params.styles), [&](auto wide) {
        constexpr int V = wide ? 4 : 1;
        LAUNCH(layer_demodulation_kernel<V>, dim3(num_blocks(more)), dim3(THREADS), SHARED_BYTES, queue, problem);
    });
}

}  // namespace higan_fast
