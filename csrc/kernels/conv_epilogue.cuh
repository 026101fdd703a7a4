// The tail of a convolution on the device: loads what depends on the channel once, then does the arithmetic.
#pragma once

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
    float limit;  // the bound of the clamp; infinity without one
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
    return {view<const float, 2>(tail.demod, "demod"),
            view<const float, 2>(bias, "bias"),
            view<const float, 2>(tail.next_styles, "next_styles"),
            view<const float, 3>(noise, "noise"),
            wide(tail.demod) && wide(bias) && wide(tail.next_styles),
            wide(noise),
            tail.activation,
            float(tail.alpha),
            float(tail.gain),
            tail.clamp < 0 ? std::numeric_limits<float>::infinity() : float(tail.clamp)};
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

// The tail of V neighbouring channels of one sample.
template <int V>
class ChannelTail {
public:
    __device__ ChannelTail(const TailView& tail, int n, int c) {
        UNROLL for (int v = 0; v < V; ++v) demod_[v] = 1, bias_[v] = 0, next_styles_[v] = 1;
        if (tail.demod) load_floats(demod_, tail.demod, tail.wide_channels, c, n);
        if (tail.bias) load_floats(bias_, tail.bias, tail.wide_channels, c, n);
        if (tail.next_styles) load_floats(next_styles_, tail.next_styles, tail.wide_channels, c, n);
    }

    // Applies the tail to a value of channel v. RECTIFIER: the activation is a rectifier.
    template <bool RECTIFIER>
    __device__ float apply(const TailView& tail, int v, float value, float noise) const {
        value = value * demod_[v] + (noise + bias_[v]);
        if constexpr (RECTIFIER) {
            const float slope = tail.activation == Activation::linear ? 1 : tail.alpha;
            const float below = tail.activation == Activation::relu ? 0 : value * slope;
            value = value < 0 ? below : value;
        } else {
            value = activate(tail.activation, value, tail.alpha);
        }
        value *= tail.gain;
        value = value > tail.limit ? tail.limit : value < -tail.limit ? -tail.limit : value;
        return value * next_styles_[v];
    }

private:
    float demod_[V], bias_[V], next_styles_[V];
};

}  // namespace higan_fast
