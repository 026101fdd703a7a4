// A modulated 1×1 convolution to RGB, added to the upsampled RGB of the previous block, in one pass.
#pragma once

#include "../include/launch.h"
#include "../include/tensor_view.h"

namespace higan_fast {

// out[n, k] = U(rgb)[n, k] + clamp(Σ_i weight[k, i]·styles[n, i]·x[n, i] + bias[k]). If rgb has x's height and width,
// U is the identity. If it has half of them, U is upfirdn2d(rgb, filter, up = 2, padding [t/2, (t−1)/2] on both axes,
// gain 4), with t the number of taps.
struct ToRgb {
    Tensor x;       // [N, I, H, W]
    Tensor weight;  // [K, I] (K = 3 mostly, ≤ 4)
    Tensor styles;  // [N, I]
    Tensor bias;    // [K], or not given
    Tensor rgb;     // [N, K, H, W] or [N, K, H / 2, W / 2], or not given
    Tensor filter;  // [t], given when rgb has half the size
    Tensor out;     // [N, K, H, W]; all but x in the accumulator's dtype
    double clamp = -1;  // negative: not clamped
};

namespace cuda {
void to_rgb(const ToRgb&, Queue);
}

}  // namespace higan_fast
