// BigGAN's normalisation with stored statistics, its class-conditional scale and shift, activation, upsampling.
#pragma once

#include "bias_act.h"

namespace higan_fast {

// out[n, c, h, w] = gain · activation((x[n, c, h / up, w / up] − mean[c]) · rsqrt(variance[c] + epsilon) ·
// scale[n, c] + shift[n, c])
struct ConditionalBatchNormAct {
    Tensor x;         // [N, C, H, W]
    Tensor mean;      // [C]
    Tensor variance;  // [C]
    Tensor scale;     // [N, C]; strides may be 0
    Tensor shift;     // [N, C]; strides may be 0; all four in the accumulator's dtype
    Tensor out;       // [N, C, H·up, W·up] in x's dtype
    Activation activation = Activation::relu;
    double alpha = 0.2, gain = 1;
    double epsilon = 1e-5;
    int up = 1;  // 1, or 2: nearest neighbour
};

namespace cuda {
void conditional_batch_norm_act(const ConditionalBatchNormAct&, Queue);
}

}  // namespace higan_fast
