// StyleGAN's layer tail: noise, bias, activation, instance normalisation, style.
#pragma once

#include "bias_act.h"

namespace higan_fast {

// a = gain · activation(x + noise·strength[c] + bias[c]);
// out = (a − mean(a)) · rsqrt(var(a) + epsilon) · scale[n, c] + shift[n, c], with mean and (biased) variance over
// the plane of each sample and channel, var by two passes or an equally stable way.
//
// Only CUDA uses the workspace. Without it there is one launch, in which one block reads a plane twice; this is best
// up to 32² pixels. With it there are two launches, and P = min(⌈H·W / 1024⌉, 256) blocks share a plane.
struct Adain {
    Tensor x;         // [N, C, H, W]
    Tensor noise;     // [N, 1, H, W], strides may be 0; or not given
    Tensor strength;  // [C]; given when noise is
    Tensor bias;      // [C], or not given
    Tensor scale;     // [N, C]
    Tensor shift;     // [N, C]; all of these in the accumulator's dtype
    Tensor out;       // [N, C, H, W] in x's dtype
    Activation activation = Activation::lrelu;
    double alpha = 0.2, gain = 1;
    double epsilon = 1e-8;
    Tensor workspace = {};  // [P, N, C, 2] float32, contiguous, uninitialised; or not given
};

namespace cuda {
void adain(const Adain&, Queue);
}

}  // namespace higan_fast
