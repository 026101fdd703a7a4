// to_rgb in one pass over x: lanes divide a pixel's channels (to_rgb.cuh), or threads take pixels and divide them here.
#include "to_rgb.cuh"

#include <algorithm>

#include "../include/dispatch.h"
#include "../include/expect.h"
#include "../include/fold.h"
#include "../include/vec.cuh"

namespace higan_fast {
namespace {

// Vectors along the width: threads along x take neighbouring pixels, and threads along y divide the channels.
template <class T, int V, int K>
__global__ void __launch_bounds__(RGB_THREADS, 2)
    to_rgb_along_width(View<const T, 4> x, View<const float, 2> weight, View<const float, 2> styles, RgbTail tail,
                       int blocks_per_row) {
    SHARED_MEMORY(float, memory);
    const int blocks_per_sample = blocks_per_row * x.sizes[2];
    const int n = blockIdx.x / blocks_per_sample, block = blockIdx.x % blocks_per_sample;
    const int h = block / blocks_per_row, first = block % blocks_per_row * WARP * V;
    const int thread = threadIdx.y * WARP + threadIdx.x, shares = blockDim.y;
    for (int i = thread; i < x.sizes[1] * K; i += RGB_THREADS) {
        const int c = i / K, k = i % K;
        memory[i] = k < weight.sizes[0] ? weight(k, c) * styles(n, c) : 0;
    }
    __syncthreads();

    float sums[K][V] = {};
    const int w = first + threadIdx.x * V;
    if (w < x.sizes[3]) {
        for (int c = threadIdx.y; c < x.sizes[1]; c += shares) {
            const Vec<T, V> pixels = vec_at<V>(x, 3, n, c, h, w);
            UNROLL for (int k = 0; k < K; ++k) {
                UNROLL for (int v = 0; v < V; ++v) sums[k][v] += memory[c * K + k] * widen(pixels[v]);
            }
        }
    }
    __syncthreads();  // the partial sums [shares, K, pixels] reuse the memory of the factors
    UNROLL for (int k = 0; k < K; ++k) {
        float* const share = memory + ((threadIdx.y * K + k) * WARP + threadIdx.x) * V;
        UNROLL for (int v = 0; v < V; ++v) share[v] = sums[k][v];
    }
    __syncthreads();
    for (int pixel = thread; pixel < min(WARP * V, x.sizes[3] - first); pixel += RGB_THREADS) {
        float total[K] = {};
        for (int share = 0; share < shares; ++share) {
            UNROLL for (int k = 0; k < K; ++k) total[k] += memory[(share * K + k) * WARP * V + pixel];
        }
        const int at = h * x.sizes[3] + first + pixel, row = at / tail.out.sizes[3], column = at % tail.out.sizes[3];
        float before[K] = {};
        if (tail.rgb) tail.add_rgb(before, n, row, column);
        tail.write(total, before, n, row, column);
    }
}

template <class T, int V, int K>
void launch(const ToRgb& op, const RgbTail& tail, bool along_channels, Queue queue) {
    const std::int64_t num = op.x.sizes[0], channels = op.x.sizes[1], rows = op.x.sizes[2], width = op.x.sizes[3];
    const auto x = view<const T, 4>(op.x, "x");
    const auto weight = view<const float, 2>(op.weight, "weight");
    const auto styles = view<const float, 2>(op.styles, "styles");
    const int factors = int(channels * K);
    if (!along_channels) {
        const int shares = RGB_THREADS / WARP, blocks_per_row = ceil_div(width, WARP * V);
        const int floats = std::max(factors, RGB_THREADS * V * K);
        LAUNCH((to_rgb_along_width<T, V, K>), num_blocks(num * rows * blocks_per_row), dim3(WARP, shares),
               int(floats * sizeof(float)), queue, x, weight, styles, tail, blocks_per_row);
        return;
    }
    launch_rgb_along_channels<T, V, K, false, false>(x, weight, styles, tail, {}, {}, queue);
}

template <class T>
void launch(ToRgb op, Queue queue) {
    const RgbTail tail = rgb_tail(op.bias, op.rgb, op.filter, op.clamp, op.out);
    drop_idle_strides(op.x);
    fold({&op.x}, 2, 3);
    constexpr int V = WIDEST<T>;
    const bool wide_channels = can_vectorize(op.x, 1, V, sizeof(T));
    const bool wide_width = can_vectorize(op.x, 3, V, sizeof(T));
    const bool along_channels = wide_channels || (!wide_width && op.x.strides[1] == 1);
    dispatch(op.weight.sizes[0] == 3, [&](auto three) {
        dispatch(wide_channels || wide_width, [&](auto wide) {
            launch<T, wide.value ? V : 1, three.value ? 3 : MOST_COLORS>(op, tail, along_channels, queue);
        });
    });
}

void check(const ToRgb& op) {
    expect::rank(op.x, "x", 4);
    expect_rgb(op.weight, op.styles, op.bias, op.rgb, op.filter, op.out, op.x.sizes);
}

}  // namespace

namespace cuda {

void to_rgb(const ToRgb& op, Queue queue) {
    check(op);
    if (op.out.num_elements() == 0) return;
    dispatch(op.x.dtype, [&](auto type) { launch<typename decltype(type)::type>(op, queue); });
}

}  // namespace cuda
}  // namespace higan_fast
