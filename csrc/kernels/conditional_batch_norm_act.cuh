// The normalisation of a channel as one multiplication and one addition.
#pragma once

#include "../include/vec.cuh"
#include "bias_act.cuh"
#include "conditional_batch_norm_act.h"

namespace higan_fast {

// ConditionalBatchNormAct with its types known.
template <class T>
struct ConditionalBatchNorm {
    View<const T, 4> x;
    View<const float, 1> mean, variance;
    View<const float, 2> scale, shift;
    View<T, 4> out;
    Activation activation;
    float alpha, gain, epsilon;
    int up;
};

// For K neighbouring channels of a sample:
// (x − mean) · rsqrt(variance + epsilon) · scale + shift = x · factor + offset.
template <int K>
struct ChannelAffine {
    float factor[K], offset[K];

    template <class T>
    __device__ ChannelAffine(const ConditionalBatchNorm<T>& norm, int n, int c) {
        float scale[K], mean[K];
        load_row(factor, norm.variance, c);
        load_row(scale, norm.scale, c, n);
        load_row(offset, norm.shift, c, n);
        load_row(mean, norm.mean, c);
        for (int k = 0; k < K; ++k) {
            factor[k] = rsqrtf(factor[k] + norm.epsilon) * scale[k];
            offset[k] -= mean[k] * factor[k];
        }
    }

    // V values: one per channel if K is V, all of the same channel if K is 1.
    template <class T, int V>
    __device__ Vec<T, V> apply(const ConditionalBatchNorm<T>& norm, const Vec<T, V>& x) const {
        float values[V];
        for (int v = 0; v < V; ++v) values[v] = widen(x[v]) * factor[v % K] + offset[v % K];
        activate(norm.activation, values, norm.alpha, norm.gain);
        Vec<T, V> out;
        for (int v = 0; v < V; ++v) out[v] = narrow<T>(values[v]);
        return out;
    }
};

}  // namespace higan_fast
