// RGB of features whose channels lie side by side, with or without the tail of the convolution that made them; and what
// follows the sum over a pixel's channels: bias, clamp, RGB of the previous block.
#pragma once

#include <algorithm>

#include "../include/expect.h"
#include "conv_epilogue.cuh"
#include "to_rgb.h"
#include "upfirdn2d.cuh"

namespace higan_fast {

constexpr int MOST_COLORS = 4, MOST_CHANNELS = 6144;  // their factors fit the shared memory of every GPU

struct RgbTail {
    View<const float, 1> bias;    // [K]
    View<const float, 4> rgb;     // [N, K, H, W] or [N, K, H / 2, W / 2]
    View<const float, 1> filter;  // [t]
    View<float, 4> out;           // [N, K, H, W]
    float limit;                  // the bound of the clamp; infinity without one

    // Adds the previous block's RGB at pixel (h, w) to `values`, upsampled if it is smaller.
    template <int K>
    __device__ void add_rgb(float (&values)[K], int n, int h, int w) const {
        const int num = out.sizes[1];
        if (rgb.sizes[2] == out.sizes[2]) {
            UNROLL for (int k = 0; k < K; ++k) {
                if (k < num) values[k] += rgb(n, k, h, w);
            }
        } else if (filter.sizes[0] == 4) {
            add_from_four(values, n, h, w);
        } else {
            add_filtered(values, n, h, w);
        }
    }

    // Writes pixel `pixel` of sample n: its sums over the channels with bias and clamp, plus `before`.
    template <int K>
    __device__ void write(const float (&sums)[K], const float (&before)[K], int n, int h, int w) const {
        const int num = out.sizes[1];
        UNROLL for (int k = 0; k < K; ++k) {
            if (k >= num) continue;
            const float sum = bias ? sums[k] + bias(k) : sums[k];
            out(n, k, h, w) = (sum > limit ? limit : sum < -limit ? -limit : sum) + before[k];
        }
    }

private:
    // Four taps meet two pixels on each axis. All loads are under way at once.
    template <int K>
    __device__ void add_from_four(float (&values)[K], int n, int h, int w) const {
        const int num = out.sizes[1], top = (h - 1) >> 1, left = (w - 1) >> 1;
        float found[2][2][K], down[2], across[2];
        UNROLL for (int i = 0; i < 2; ++i) {
            const bool above = unsigned(top + i) < unsigned(rgb.sizes[2]);
            const bool beside = unsigned(left + i) < unsigned(rgb.sizes[3]);
            down[i] = above ? 2 * filter(3 - 2 * i - h % 2) : 0;
            across[i] = beside ? 2 * filter(3 - 2 * i - w % 2) : 0;
            UNROLL for (int j = 0; j < 2; ++j) {
                const bool exists = above && unsigned(left + j) < unsigned(rgb.sizes[3]);
                UNROLL for (int k = 0; k < K; ++k) {
                    found[i][j][k] = exists && k < num ? rgb(n, k, top + i, left + j) : 0;
                }
            }
        }
        UNROLL for (int k = 0; k < K; ++k) {
            UNROLL for (int i = 0; i < 2; ++i) {
                values[k] += down[i] * (across[0] * found[i][0][k] + across[1] * found[i][1][k]);
            }
        }
    }

    template <int K>
    __device__ void add_filtered(float (&values)[K], int n, int h, int w) const {
        const int num = out.sizes[1], taps = filter.sizes[0], top = h - taps / 2, left = w - taps / 2;
        const PixelRange ys(top, taps, 2, rgb.sizes[2]), xs(left, taps, 2, rgb.sizes[3]);
        for (int y = ys.begin; y < ys.end; ++y) {
            const float down = 4 * filter(taps - 1 - (2 * y - top));
            for (int x = xs.begin; x < xs.end; ++x) {
                const float factor = down * filter(taps - 1 - (2 * x - left));
                UNROLL for (int k = 0; k < K; ++k) {
                    if (k < num) values[k] += factor * rgb(n, k, y, x);
                }
            }
        }
    }
};

inline RgbTail rgb_tail(const Tensor& bias, const Tensor& rgb, const Tensor& filter, double clamp, const Tensor& out) {
    return {view<const float, 1>(bias, "bias"), view<const float, 4>(rgb, "rgb"),
            view<const float, 1>(filter, "filter"), view<float, 4>(out, "out"),
            clamp < 0 ? std::numeric_limits<float>::infinity() : float(clamp)};
}

// `sizes` are those of the features: [N, I, H, W].
inline void expect_rgb(const Tensor& weight, const Tensor& styles, const Tensor& bias, const Tensor& rgb,
                       const Tensor& filter, const Tensor& out, const std::int64_t* sizes) {
    expect::rank(weight, "weight", 2);
    const std::int64_t n = sizes[0], channels = sizes[1], h = sizes[2], w = sizes[3], colors = weight.sizes[0];
    if (colors < 1 || colors > MOST_COLORS || weight.sizes[1] != channels || channels > MOST_CHANNELS) {
        expect::refuse(weight, "weight", "[1 to 4, x's channels (of which there may be " +
                                             std::to_string(MOST_CHANNELS) + ")]");
    }
    expect::shape(styles, "styles", {n, channels});
    expect::shape_if_given(bias, "bias", {colors});
    expect::shape(out, "out", {n, colors, h, w});
    if (h * w > (1 << 30)) expect::refuse(out, "out", "at most 2^30 pixels");
    if (!rgb.given() || (rgb.rank == 4 && rgb.sizes[2] == h)) {
        expect::shape_if_given(rgb, "rgb", {n, colors, h, w});
        return;
    }
    if (h % 2 != 0 || w % 2 != 0) expect::refuse(rgb, "rgb", "x's height and width, which are odd");
    expect::shape(rgb, "rgb", {n, colors, h / 2, w / 2});
    expect::rank(filter, "filter", 1);
    if (filter.sizes[0] < 1) expect::refuse(filter, "filter", "at least one tap");
}

// What a sample's channels are multiplied by, ROWS numbers per channel, in shared memory as [ROWS, V / P, vectors, P].
// Lanes with neighbouring vectors read neighbouring groups of P floats, which avoids bank conflicts.
template <int V, int ROWS>
struct Factors {
    static constexpr int P = V < 4 ? V : 4;
    using Part = Vec<float, P>;

    Part* data;
    int num_vectors;

    __device__ const Part& at(int row, int part, int vector) const {
        return data[(row * (V / P) + part) * num_vectors + vector];
    }

    __device__ void set(int row, int c, float value) const {
        data[(row * (V / P) + c % V / P) * num_vectors + c / V][c % P] = value;
    }
};

constexpr int RGB_THREADS = 256;

// In flight per group of lanes; at the end each of as many lanes finishes one. A tail or a fourth color needs
// registers.
template <int K, bool TAIL>
constexpr int RGB_PIXELS = TAIL || K > 3 ? 4 : 8;

// `lanes` neighbouring lanes (RGB_PIXELS to 32 of them) share RGB_PIXELS neighbouring pixels of a row of x, and
// a lane takes vectors of their channels. TAIL: first comes the tail of a convolution, whose activation is a rectifier.
// KEEP: what comes out of that, times the next layer's styles, is written to `features`, which may be x.
template <class T, int V, int K, bool TAIL, bool KEEP>
__global__ void __launch_bounds__(RGB_THREADS, 2)
    rgb_along_channels(View<const T, 4> x, View<const float, 2> weight, View<const float, 2> styles, RgbTail rgb,
                       TailView tail, View<T, 4> features, int lanes, int blocks_per_sample) {
    using Shared = Factors<V, TAIL ? K + 3 : K>;
    using Part = typename Shared::Part;
    constexpr int PIXELS = RGB_PIXELS<K, TAIL>, P = Shared::P, DEMOD = K, BIAS = K + 1, NEXT = K + 2;
    SHARED_MEMORY(Part, memory);
    const Shared factors{memory, x.sizes[1] / V};
    const int n = blockIdx.x / blocks_per_sample, block = blockIdx.x % blocks_per_sample;
    for (int c = threadIdx.x; c < x.sizes[1]; c += RGB_THREADS) {
        const float style = styles(n, c) * (TAIL ? tail.gain : 1);
        UNROLL for (int k = 0; k < K; ++k) factors.set(k, c, k < weight.sizes[0] ? weight(k, c) * style : 0);
        if constexpr (TAIL) {
            factors.set(DEMOD, c, tail.demod ? tail.demod(n, c) : 1);
            factors.set(BIAS, c, tail.bias ? tail.bias(n, c) : 0);
            factors.set(NEXT, c, tail.next_styles ? tail.next_styles(n, c) * tail.gain : tail.gain);
        }
    }
    __syncthreads();

    const int lane = threadIdx.x % lanes, groups = RGB_THREADS / lanes;
    const int runs_per_row = (x.sizes[3] + PIXELS - 1) / PIXELS, num_runs = x.sizes[2] * runs_per_row;
    for (int first = block * groups; first < num_runs; first += blocks_per_sample * groups) {  // same for all threads
        const int run = first + threadIdx.x / lanes;
        const int h = run / runs_per_row, w = run % runs_per_row * PIXELS;
        const int num = run < num_runs ? min(x.sizes[3] - w, PIXELS) : 0;
        const int pixel = h * x.sizes[3] + w + lane, y = pixel / rgb.out.sizes[3], at = pixel % rgb.out.sizes[3];
        float before[K] = {}, noise[PIXELS] = {}, sums[PIXELS][K] = {};
        if (rgb.rgb && lane < num) rgb.add_rgb(before, n, y, at);
        if constexpr (TAIL) {
            if (tail.noise && num == PIXELS) {
                load_floats(noise, tail.noise, tail.wide_noise, w, n, h);
            } else if (tail.noise) {
                UNROLL for (int i = 0; i < PIXELS; ++i) noise[i] = i < num ? tail.noise(n, h, w + i) : 0;
            }
        }
        for (int vector = lane; vector < factors.num_vectors; vector += lanes) {
            Vec<T, V> pixels[PIXELS];
            UNROLL for (int i = 0; i < PIXELS; ++i) {
                pixels[i] = i < num ? vec_at<V>(x, 1, n, vector * V, h, w + i) : Vec<T, V>{};
            }
            UNROLL for (int part = 0; part < V / P; ++part) {
                Part factor[K];
                UNROLL for (int k = 0; k < K; ++k) factor[k] = factors.at(k, part, vector);
                ChannelTail<P> channels;
                if constexpr (TAIL) {
                    const Part demod = factors.at(DEMOD, part, vector), bias = factors.at(BIAS, part, vector);
                    const Part next = factors.at(NEXT, part, vector);
                    UNROLL for (int p = 0; p < P; ++p) {
                        channels.demod[p] = demod[p], channels.bias[p] = bias[p], channels.factors[p] = next[p];
                    }
                }
                UNROLL for (int i = 0; i < PIXELS; ++i) {
                    float values[P];
                    UNROLL for (int p = 0; p < P; ++p) values[p] = widen(pixels[i][part * P + p]);
                    if constexpr (TAIL) channels.template activate<true>(tail, 0, values, noise[i]);
                    UNROLL for (int p = 0; p < P; ++p) {
                        UNROLL for (int k = 0; k < K; ++k) sums[i][k] += factor[k][p] * values[p];
                        if constexpr (KEEP) pixels[i][part * P + p] = narrow<T>(values[p] * channels.factors[p]);
                    }
                }
            }
            if constexpr (KEEP) {
                UNROLL for (int i = 0; i < PIXELS; ++i) {
                    if (i < num) vec_at<V>(features, 1, n, vector * V, h, w + i) = pixels[i];
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
        if (lane < num) rgb.write(sums[0], before, n, y, at);
    }
}

template <class T, int V, int K, bool TAIL, bool KEEP>
void launch_rgb_along_channels(const View<const T, 4>& x, const View<const float, 2>& weight,
                               const View<const float, 2>& styles, const RgbTail& rgb, const TailView& tail,
                               const View<T, 4>& features, Queue queue) {
    constexpr std::int64_t ENOUGH_THREADS = 128 * 1024, ENOUGH_BLOCKS = 4096;
    const std::int64_t num = x.sizes[0], channels = x.sizes[1];
    const std::int64_t runs = std::int64_t(x.sizes[2]) * ceil_div(x.sizes[3], RGB_PIXELS<K, TAIL>);
    int lanes = RGB_PIXELS<K, TAIL>;
    while (lanes < WARP && lanes * V < channels && num * runs * lanes < ENOUGH_THREADS) lanes *= 2;
    const int blocks_per_sample = std::min(ceil_div(runs, RGB_THREADS / lanes), ceil_div(ENOUGH_BLOCKS, num));
    const int floats = int(channels) * (TAIL ? K + 3 : K);
    LAUNCH((rgb_along_channels<T, V, K, TAIL, KEEP>), num_blocks(num * blocks_per_sample), RGB_THREADS,
           int(floats * sizeof(float)), queue, x, weight, styles, rgb, tail, features, lanes, blocks_per_sample);
}

}  // namespace higan_fast
