// The tail of a convolution on the device: loads what depends on the channel once, then does the arithmetic.
#pragma once

#include <cmath>

#include "../include/expect.h"
#include "../include/vec.cuh"
#include "../include/warp.cuh"
#include "bias_act.cuh"
#include "conv_epilogue.h"

namespace higan_fast {

struct TailView {
    View<const float, 2> demod, bias, next_styles;  // [N, C]
    View<const float, 3> noise;                     // [N, H, W]
    bool wide_channels, wide_noise;                 // four neighbours can be loaded at once
    Activation activation;
    float alpha, gain;
    float slope;  // of a rectifier below zero
    bool leaky;   // 0 < slope ≤ 1: a rectifier is then the larger one of x and slope · x
    float limit;  // the bound of the clamp before the gain; infinity without one
};

inline void expect_tail(const Tail& tail, std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) {
    expect::shape_if_given(tail.demod, "demod", {n, c});
    expect::shape_if_given(tail.noise, "noise", {n, 1, h, w});
    expect::shape_if_given(tail.bias, "bias", {c});
    expect::shape_if_given(tail.next_styles, "next_styles", {n, c});
}

inline TailView tail_view(const Tail& tail, std::int64_t num_samples) {
    Tensor bias = tail.bias, noise = tail.noise;
    if (bias.given()) {  // the same for every sample
        bias.rank = 2;
        bias.sizes[1] = bias.sizes[0], bias.strides[1] = bias.strides[0];
        bias.sizes[0] = num_samples, bias.strides[0] = 0;
    }
    if (noise.given()) {  // its channel dimension has one element, so it does not matter
        noise.rank = 3;
        for (int i = 1; i < 3; ++i) noise.sizes[i] = noise.sizes[i + 1], noise.strides[i] = noise.strides[i + 1];
    }
    const auto wide = [](const Tensor& given) { return can_vectorize(given, given.rank - 1, 4, sizeof(float)); };
    const double slope = tail.activation == Activation::linear ? 1
                         : tail.activation == Activation::relu ? 0
                                                               : tail.alpha;
    return {view<const float, 2>(tail.demod, "demod"),
            view<const float, 2>(bias, "bias"),
            view<const float, 2>(tail.next_styles, "next_styles"),
            view<const float, 3>(noise, "noise"),
            wide(tail.demod) && wide(bias) && wide(tail.next_styles),
            wide(noise),
            tail.activation,
            float(tail.alpha),
            float(tail.gain),
            float(slope),
            slope > 0 && slope <= 1,
            tail.clamp < 0 ? std::numeric_limits<float>::infinity() : float(tail.clamp / std::abs(tail.gain))};
}

// Activations that are one multiplication and one select. They are so common that kernels are specialised for them.
inline bool is_rectifier(Activation activation) {
    return activation == Activation::linear || activation == Activation::relu || activation == Activation::lrelu;
}

// V neighbours along the last dimension, from index (lead..., first) on.
template <int V, int R, class... Lead>
__device__ void load_floats(float (&to)[V], const View<const float, R>& from, bool wide, int first, Lead... lead) {
    if constexpr (V % 4 == 0) {
        if (wide) {
            UNROLL for (int i = 0; i < V; i += 4) {
                const Vec<float, 4> four = vec_at<4>(from, R - 1, lead..., first + i);
                UNROLL for (int j = 0; j < 4; ++j) to[i + j] = four[j];
            }
            return;
        }
    }
    UNROLL for (int i = 0; i < V; ++i) to[i] = from(lead..., first + i);
}

#ifndef HIGAN_FAST_EMULATION

// The larger and the smaller number; NaN if one of them is NaN. Comparisons and selections would take four times as
// many instructions.
__device__ inline float larger(float a, float b) {
    float result;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
    return result;
}

__device__ inline float smaller(float a, float b) {
    float result;
    asm("min.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
    return result;
}

#else

inline float larger(float a, float b) { return a > b || a != a ? a : b; }
inline float smaller(float a, float b) { return a < b || a != a ? a : b; }

#endif

// The tail of V neighbouring channels of one sample. The clamp is applied before the gain, which makes one factor with
// the next layer's style.
template <int V>
struct ChannelTail {
    float demod[V], bias[V], factors[V];

    ChannelTail() = default;

    __device__ ChannelTail(const TailView& tail, int n, int c) {
        UNROLL for (int v = 0; v < V; ++v) demod[v] = 1, bias[v] = 0, factors[v] = 1;
        if (tail.demod) load_floats(demod, tail.demod, tail.wide_channels, c, n);
        if (tail.bias) load_floats(bias, tail.bias, tail.wide_channels, c, n);
        if (tail.next_styles) load_floats(factors, tail.next_styles, tail.wide_channels, c, n);
        UNROLL for (int v = 0; v < V; ++v) factors[v] *= tail.gain;
    }

    // Applies all but the factors to values of M neighbouring channels, from number `first` on. RECTIFIER: the
    // activation is a rectifier. Branches are outside of the loops, because all threads take the same one.
    template <bool RECTIFIER, int M>
    __device__ void activate(const TailView& tail, int first, float (&values)[M], float noise) const {
        UNROLL for (int i = 0; i < M; ++i) values[i] = values[i] * demod[first + i] + (noise + bias[first + i]);
        if constexpr (!RECTIFIER) {
            UNROLL for (int i = 0; i < M; ++i) {
                values[i] = higan_fast::activate(tail.activation, values[i], tail.alpha);
            }
        } else if (tail.leaky) {
            UNROLL for (int i = 0; i < M; ++i) values[i] = larger(values[i], values[i] * tail.slope);
        } else {
            const bool flat = tail.activation == Activation::relu;
            UNROLL for (int i = 0; i < M; ++i) {
                values[i] = values[i] < 0 ? (flat ? 0 : values[i] * tail.slope) : values[i];
            }
        }
        if (tail.limit < std::numeric_limits<float>::infinity()) {
            UNROLL for (int i = 0; i < M; ++i) values[i] = smaller(larger(values[i], -tail.limit), tail.limit);
        }
    }

    // Applies the whole tail.
    template <bool RECTIFIER, int M>
    __device__ void apply(const TailView& tail, int first, float (&values)[M], float noise) const {
        activate<RECTIFIER>(tail, first, values, noise);
        UNROLL for (int i = 0; i < M; ++i) values[i] *= factors[first + i];
    }

    // The same for one value, of channel v.
    template <bool RECTIFIER>
    __device__ float apply(const TailView& tail, int v, float value, float noise) const {
        float values[1] = {value};
        apply<RECTIFIER>(tail, v, values, noise);
        return values[0];
    }
};

}  // namespace higan_fast
