// to_rgb in one pass over x: lanes divide a pixel's channels, or threads take pixels and divide the channels.
#include "to_rgb.cuh"

#include <algorithm>

#include "../include/dispatch.h"
#include "../include/expect.h"
#include "../include/fold.h"
#include "../include/vec.cuh"

namespace higan_fast {
namespace {

constexpr int THREADS = 256;
constexpr int MOST_COLORS = 4, MOST_CHANNELS = 6144;  // their factors fit the shared memory of every GPU
constexpr int PIXELS = 8;  // in flight per group of lanes; at the end each of eight lanes finishes one

// The factors weight · style of a sample, K per channel, in shared memory as [K, V / P, vectors, P]. Lanes with
// neighbouring vectors read neighbouring groups of P floats, which avoids bank conflicts.
template <int V, int K>
struct Factors {
    static constexpr int P = V < 4 ? V : 4;
    using Part = Vec<float, P>;

    Part* data;
    int num_vectors;

    __device__ const Part& at(int k, int part, int vector) const {
        return data[(k * (V / P) + part) * num_vectors + vector];
    }

    // Ends with a barrier. RGB channels that the weight does not have get zeros.
    __device__ void fill(const View<const float, 2>& weight, const View<const float, 2>& styles, int n) const {
        for (int c = threadIdx.x; c < weight.sizes[1]; c += blockDim.x) {
            const float style = styles(n, c);
            UNROLL for (int k = 0; k < K; ++k) {
                const float factor = k < weight.sizes[0] ? weight(k, c) * style : 0;
                data[(k * (V / P) + c % V / P) * num_vectors + c / V][c % P] = factor;
            }
        }
        __syncthreads();
    }
};

// Vectors along the channels: `lanes` neighbouring lanes (8 to 32) share PIXELS neighbouring pixels of a row of x.
template <class T, int V, int K>
__global__ void __launch_bounds__(THREADS, 2)
    to_rgb_along_channels(View<const T, 4> x, View<const float, 2> weight, View<const float, 2> styles,
                          RgbTail tail, int lanes, int blocks_per_sample) {
    using Part = typename Factors<V, K>::Part;
    SHARED_MEMORY(Part, memory);
    const Factors<V, K> factors{memory, x.sizes[1] / V};
    const int n = blockIdx.x / blocks_per_sample, block = blockIdx.x % blocks_per_sample;
    factors.fill(weight, styles, n);

    const int lane = threadIdx.x % lanes, groups = blockDim.x / lanes;
    const int runs_per_row = (x.sizes[3] + PIXELS - 1) / PIXELS, num_runs = x.sizes[2] * runs_per_row;
    for (int first = block * groups; first < num_runs; first += blocks_per_sample * groups) {  // same for all threads
        const int run = first + threadIdx.x / lanes;
        const int h = run / runs_per_row, w = run % runs_per_row * PIXELS;
        const int num = run < num_runs ? min(x.sizes[3] - w, PIXELS) : 0;
        float sums[PIXELS][K] = {};
        for (int vector = lane; vector < factors.num_vectors; vector += lanes) {
            Vec<T, V> pixels[PIXELS];
            UNROLL for (int i = 0; i < PIXELS; ++i) {
                pixels[i] = i < num ? vec_at<V>(x, 1, n, vector * V, h, w + i) : Vec<T, V>{};
            }
            UNROLL for (int part = 0; part < V / factors.P; ++part) {
                Part factor[K];
                UNROLL for (int k = 0; k < K; ++k) factor[k] = factors.at(k, part, vector);
                UNROLL for (int i = 0; i < PIXELS; ++i) {
                    UNROLL for (int p = 0; p < factors.P; ++p) {
                        const float value = widen(pixels[i][part * factors.P + p]);
                        UNROLL for (int k = 0; k < K; ++k) sums[i][k] += factor[k][p] * value;
                    }
                }
            }
        }
        for (int distance = lanes / 2; distance >= PIXELS; distance /= 2) {
            UNROLL for (int i = 0; i < PIXELS; ++i) {
                UNROLL for (int k = 0; k < K; ++k) sums[i][k] += __shfl_xor_sync(ALL_LANES, sums[i][k], distance);
            }
        }
        // Half of the lanes continue with the sums of half of the pixels, and so on; lane i ends up with pixel i.
        UNROLL for (int half = PIXELS / 2; half > 0; half /= 2) {
            const bool upper = lane & half;
            UNROLL for (int i = 0; i < half; ++i) {
                UNROLL for (int k = 0; k < K; ++k) {
                    const float low = sums[i][k], high = sums[i + half][k];
                    sums[i][k] = (upper ? high : low) + __shfl_xor_sync(ALL_LANES, upper ? low : high, half);
                }
            }
        }
        if (lane < num) tail.write(sums[0], n, h * x.sizes[3] + w + lane);
    }
}

// Vectors along the width: threads along x take neighbouring pixels, and threads along y divide the channels.
template <class T, int V, int K>
__global__ void __launch_bounds__(THREADS, 2)
    to_rgb_along_width(View<const T, 4> x, View<const float, 2> weight, View<const float, 2> styles, RgbTail tail,
                       int blocks_per_row) {
    SHARED_MEMORY(float, memory);
    const int blocks_per_sample = blocks_per_row * x.sizes[2];
    const int n = blockIdx.x / blocks_per_sample, block = blockIdx.x % blocks_per_sample;
    const int h = block / blocks_per_row, first = block % blocks_per_row * WARP * V;
    const int thread = threadIdx.y * WARP + threadIdx.x, shares = blockDim.y;
    for (int i = thread; i < x.sizes[1] * K; i += THREADS) {
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
    for (int pixel = thread; pixel < min(WARP * V, x.sizes[3] - first); pixel += THREADS) {
        float total[K] = {};
        for (int share = 0; share < shares; ++share) {
            UNROLL for (int k = 0; k < K; ++k) total[k] += memory[(share * K + k) * WARP * V + pixel];
        }
        tail.write(total, n, h * x.sizes[3] + first + pixel);
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
        const int shares = THREADS / WARP, blocks_per_row = ceil_div(width, WARP * V);
        const int floats = std::max(factors, THREADS * V * K);
        LAUNCH((to_rgb_along_width<T, V, K>), num_blocks(num * rows * blocks_per_row), dim3(WARP, shares),
               int(floats * sizeof(float)), queue, x, weight, styles, tail, blocks_per_row);
        return;
    }
    constexpr std::int64_t ENOUGH_THREADS = 128 * 1024, ENOUGH_BLOCKS = 4096;
    const std::int64_t runs = rows * ceil_div(width, PIXELS);
    int lanes = PIXELS;
    while (lanes < WARP && lanes * V < channels && num * runs * lanes < ENOUGH_THREADS) lanes *= 2;
    const int blocks_per_sample = std::min(ceil_div(runs, THREADS / lanes), ceil_div(ENOUGH_BLOCKS, num));
    LAUNCH((to_rgb_along_channels<T, V, K>), num_blocks(num * blocks_per_sample), THREADS,
           int(factors * sizeof(float)), queue, x, weight, styles, tail, lanes, blocks_per_sample);
}

template <class T>
void launch(ToRgb op, Queue queue) {
    const RgbTail tail{view<const float, 1>(op.bias, "bias"), view<const float, 4>(op.rgb, "rgb"),
                       view<const float, 1>(op.filter, "filter"), view<float, 4>(op.out, "out"),
                       op.clamp < 0 ? std::numeric_limits<float>::infinity() : float(op.clamp)};
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
    expect::rank(op.weight, "weight", 2);
    const std::int64_t n = op.x.sizes[0], channels = op.x.sizes[1], h = op.x.sizes[2], w = op.x.sizes[3];
    const std::int64_t colors = op.weight.sizes[0];
    if (colors < 1 || colors > MOST_COLORS || op.weight.sizes[1] != channels || channels > MOST_CHANNELS) {
        expect::refuse(op.weight, "weight", "[1 to 4, x's channels (of which there may be " +
                                                std::to_string(MOST_CHANNELS) + ")]");
    }
    expect::shape(op.styles, "styles", {n, channels});
    expect::shape_if_given(op.bias, "bias", {colors});
    expect::shape(op.out, "out", {n, colors, h, w});
    if (h * w > (1 << 30)) expect::refuse(op.x, "x", "at most 2^30 pixels");
    if (!op.rgb.given() || (op.rgb.rank == 4 && op.rgb.sizes[2] == h)) {
        expect::shape_if_given(op.rgb, "rgb", {n, colors, h, w});
        return;
    }
    if (h % 2 != 0 || w % 2 != 0) expect::refuse(op.rgb, "rgb", "x's height and width, which are odd");
    expect::shape(op.rgb, "rgb", {n, colors, h / 2, w / 2});
    expect::rank(op.filter, "filter", 1);
    if (op.filter.sizes[0] < 1) expect::refuse(op.filter, "filter", "at least one tap");
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
