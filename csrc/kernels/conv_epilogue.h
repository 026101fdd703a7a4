// Everything that follows a modulated convolution, in one pass over its result.
#pragma once

#include "bias_act.h"

namespace higan_fast {

// Applied to each output value v of channel c, sample n, pixel (h, w), in this order:
//     v·demod[n, c] + noise[n, 0, h, w] + bias[c]  →  activation  →  ·gain  →  clamp  →  ·next_styles[n, c]
struct Tail {
    Tensor demod;        // [N, C]
    Tensor noise;        // [N, 1, H, W]; strides may be 0
    Tensor bias;         // [C]
    Tensor next_styles;  // [N, C]; all four in the accumulator's dtype, each may be not given
    Activation activation = Activation::linear;
    double alpha = 0, gain = 1;
    double clamp = -1;  // negative: not clamped
};

// With a filter, x is the result of a transposed convolution with stride 2, and v is
//     4 · Σ_{i, j} filter[k−1−i]·filter[k−1−j] · x[n, c, h + i − pad, w + j − pad]   (zero outside of x).
// Without one, v = x[n, c, h, w]; out may then be x itself.
struct ConvEpilogue {
    Tensor x;       // [N, C, XH, XW]
    Tensor filter;  // [k] in the accumulator's dtype, or not given
    int pad = 0;
    Tail tail;
    Tensor out;  // [N, C, H, W] in x's dtype; without a filter XH = H and XW = W
};

namespace cuda {
void conv_epilogue(const ConvEpilogue&, Queue);
}

}  // namespace higan_fast
