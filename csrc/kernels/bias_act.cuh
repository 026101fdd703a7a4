// The activations, in the arithmetic of S (float or double): one definition for every backend.
#pragma once

#include <cmath>

#include "bias_act.h"

namespace higan_fast {

template <class S>
HOST_DEVICE S activate(Activation activation, S x, S alpha) {
    constexpr S SELU_SCALE = S(1.0507009873554805), SELU_ALPHA = S(1.6732632423543772);
    using std::exp, std::expm1, std::log1p, std::tanh;
    switch (activation) {
        case Activation::linear: return x;
        case Activation::relu: return x < 0 ? S(0) : x;
        case Activation::lrelu: return x > 0 ? x : x * alpha;
        case Activation::tanh: return tanh(x);
        case Activation::sigmoid: return S(1) / (S(1) + exp(-x));
        case Activation::elu: return x > 0 ? x : expm1(x);
        case Activation::selu: return SELU_SCALE * (x > 0 ? x : SELU_ALPHA * expm1(x));
        case Activation::softplus: return x > S(20) ? x : log1p(exp(x));  // above 20 both agree in float
        case Activation::swish: return x / (S(1) + exp(-x));
    }
    return x;
}

// clamp(gain · activation(x)); a negative clamp does nothing. NaN stays NaN.
template <class S>
HOST_DEVICE S activate(Activation activation, S x, S alpha, S gain, S clamp) {
    x = activate(activation, x, alpha) * gain;
    if (clamp >= 0) x = x > clamp ? clamp : x < -clamp ? -clamp : x;
    return x;
}

// gain · activation(x) for V values. It selects the activation once, and checks common ones first.
template <class S, int V>
HOST_DEVICE void activate(Activation activation, S (&x)[V], S alpha, S gain) {
    if (activation == Activation::lrelu) {
        for (int v = 0; v < V; ++v) x[v] = activate(Activation::lrelu, x[v], alpha);
    } else if (activation == Activation::relu) {
        for (int v = 0; v < V; ++v) x[v] = activate(Activation::relu, x[v], alpha);
    } else if (activation != Activation::linear) {
        for (int v = 0; v < V; ++v) x[v] = activate(activation, x[v], alpha);
    }
    for (int v = 0; v < V; ++v) x[v] *= gain;
}

}  // namespace higan_fast
