// clamp(gain · activation(x + bias)), elementwise.
#pragma once

#include "../include/launch.h"
#include "../include/tensor_view.h"

namespace higan_fast {

// In the order of higan_fast.ops.bias_act.ACTIVATIONS.
enum class Activation : int { linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish };

struct BiasAct {
    Tensor x;     // [A, C, B]: the dimensions before, along and after that of the bias
    Tensor bias;  // [C] in the accumulator's dtype, or not given
    Tensor out;   // [A, C, B] in x's dtype, with x's strides
    Activation activation = Activation::linear;
    double alpha = 0;   // slope of lrelu below zero
    double gain = 1;
    double clamp = -1;  // negative: not clamped
};

namespace cuda {
void bias_act(const BiasAct&, Queue);
}

}  // namespace higan_fast
