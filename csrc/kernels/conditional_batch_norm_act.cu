// Two kernels: one for channels-last tensors, one that walks along rows and takes any strides.
#include "conditional_batch_norm_act.cuh"

#include <algorithm>

#include "../include/dispatch.h"
#include "../include/fold.h"
#include "../include/pixel_walk.cuh"

namespace higan_fast {
namespace {

constexpr int THREADS = 256;
constexpr int MOST_BLOCKS = 4096;  // a few waves on the largest GPU; beyond this, threads take more pixels
constexpr int MOST_BLOCKS_Z = 65535;

// Threads along x take V channels each, those along y take pixels; blocks are (pixels, channels, samples).
template <class T, int V>
__global__ void __launch_bounds__(THREADS) conditional_batch_norm_act_channels_last(ConditionalBatchNorm<T> norm) {
    const int c = (blockIdx.y * blockDim.x + threadIdx.x) * V;
    if (c >= norm.x.sizes[1]) return;
    const int height = norm.x.sizes[2], width = norm.x.sizes[3];
    for (int n = blockIdx.z; n < norm.x.sizes[0]; n += gridDim.z) {
        const ChannelAffine<V> affine(norm, n, c);
        walk_pixels(
            blockIdx.x * blockDim.y + threadIdx.y, height * width, gridDim.x * blockDim.y, width,
            [&](int h, int w) { return vec_at<V>(norm.x, 1, n, c, h, w); },
            [&](int h, int w, const Vec<T, V>& x) {
                const Vec<T, V> result = affine.apply(norm, x);
                NO_UNROLL for (int i = 0; i < norm.up * norm.up; ++i) {
                    vec_at<V>(norm.out, 1, n, c, h * norm.up + i / 2, w * norm.up + i % 2) = result;
                }
            });
    }
}

// Threads along x take V neighbouring pixels each, those along y take planes; blocks are (planes, pixels).
template <class T, int V>
__global__ void __launch_bounds__(THREADS) conditional_batch_norm_act_planes(ConditionalBatchNorm<T> norm) {
    const int plane = blockIdx.x * blockDim.y + threadIdx.y;
    const int n = plane / norm.x.sizes[1], c = plane % norm.x.sizes[1];
    if (n >= norm.x.sizes[0]) return;
    const int height = norm.x.sizes[2], width = norm.x.sizes[3] / V;
    const ChannelAffine<1> affine(norm, n, c);
    walk_pixels(
        blockIdx.y * blockDim.x + threadIdx.x, height * width, gridDim.y * blockDim.x, width,
        [&](int h, int w) { return vec_at<V>(norm.x, 3, n, c, h, w * V); },
        [&](int h, int w, const Vec<T, V>& x) {
            const Vec<T, V> result = affine.apply(norm, x);
            if (norm.up == 1) {
                vec_at<V>(norm.out, 3, n, c, h, w * V) = result;
                return;
            }
            Vec<T, V> left, right;  // every value twice
            for (int v = 0; v < V; ++v) {
                left[v] = result[v / 2];
                right[v] = result[(V + v) / 2];
            }
            for (int y = h * 2; y < (h + 1) * 2; ++y) {
                vec_at<V>(norm.out, 3, n, c, y, w * 2 * V) = left;
                vec_at<V>(norm.out, 3, n, c, y, w * 2 * V + V) = right;
            }
        });
}

// Returns how many blocks divide num pieces of work if the grid multiplies them by `others`.
int sharing(int num, std::int64_t others) {
    return std::min<std::int64_t>(num, std::max<std::int64_t>(1, MOST_BLOCKS / others));
}

template <class T, int V>
void launch_channels_last(const ConditionalBatchNorm<T>& norm, Queue queue) {
    const int num = norm.x.sizes[0], vectors = norm.x.sizes[1] / V, pixels = norm.x.sizes[2] * norm.x.sizes[3];
    const int slabs = ceil_div(vectors, THREADS), samples = std::min(num, MOST_BLOCKS_Z);
    const int threads_x = ceil_div(vectors, slabs), threads_y = THREADS / threads_x;
    const dim3 grid(sharing(ceil_div(pixels, threads_y), std::int64_t(slabs) * samples), slabs, samples);
    LAUNCH((conditional_batch_norm_act_channels_last<T, V>), grid, dim3(threads_x, threads_y), 0, queue, norm);
}

template <class T, int V>
void launch_planes(const ConditionalBatchNorm<T>& norm, Queue queue) {
    const int planes = norm.x.sizes[0] * norm.x.sizes[1], vectors = norm.x.sizes[2] * norm.x.sizes[3] / V;
    const int threads_x = std::min(next_power_of_two(vectors), THREADS), threads_y = THREADS / threads_x;
    const int blocks = ceil_div(planes, threads_y);
    const dim3 grid(blocks, sharing(ceil_div(vectors, threads_x), blocks));
    LAUNCH((conditional_batch_norm_act_planes<T, V>), grid, dim3(threads_x, threads_y), 0, queue, norm);
}

void check(const ConditionalBatchNormAct& params) {
    expect::rank(params.x, "x", 4);
    const std::int64_t num = params.x.sizes[0], channels = params.x.sizes[1];
    expect::shape(params.mean, "mean", {channels});
    expect::shape(params.variance, "variance", {channels});
    expect::shape(params.scale, "scale", {num, channels});
    expect::shape(params.shift, "shift", {num, channels});
    if (params.up != 1 && params.up != 2) {
        throw std::invalid_argument("up: got " + std::to_string(params.up) + ", expected 1 or 2");
    }
    const std::int64_t height = params.x.sizes[2] * params.up, width = params.x.sizes[3] * params.up;
    expect::shape(params.out, "out", {num, channels, height, width});
    expect_countable_planes(params.x, "x");
}

}  // namespace

void cuda::conditional_batch_norm_act(const ConditionalBatchNormAct& given, Queue queue) {
    check(given);
    if (given.out.num_elements() == 0) return;
    ConditionalBatchNormAct params = given;
    drop_idle_strides(params.x);
    drop_idle_strides(params.out);
    dispatch(params.x.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        constexpr int V = WIDEST<T>;
        const ConditionalBatchNorm<T> norm = {
            view<const T, 4>(params.x, "x"),
            view<const float, 1>(params.mean, "mean"),
            view<const float, 1>(params.variance, "variance"),
            view<const float, 2>(params.scale, "scale"),
            view<const float, 2>(params.shift, "shift"),
            view<T, 4>(params.out, "out"),
            params.activation,
            float(params.alpha),
            float(params.gain),
            float(params.epsilon),
            params.up,
        };
        const auto vectors = [&](int along) {
            return can_vectorize(params.x, along, V, sizeof(T)) && can_vectorize(params.out, along, V, sizeof(T));
        };
        const bool channels_last = params.x.strides[1] == 1 && params.out.strides[1] == 1;
        const bool rows = can_load_rows(params.mean) && can_load_rows(params.variance) &&
                          can_load_rows(params.scale) && can_load_rows(params.shift);
        const bool wide = channels_last ? vectors(1) && rows : vectors(3);
        dispatch(wide, [&](auto wide) {
            constexpr int VECTOR = wide ? V : 1;
            channels_last ? launch_channels_last<T, VECTOR>(norm, queue) : launch_planes<T, VECTOR>(norm, queue);
        });
    });
}

}  // namespace higan_fast
