// A leaky ReLU between upsampling and downsampling, so that it adds no frequencies that alias (StyleGAN3, arXiv
// 2106.12423).
#pragma once

#include "../include/launch.h"
#include "../include/tensor_view.h"

namespace higan_fast {

// out = D(clamp(gain · lrelu(U(x + bias)))), where U is upfirdn2d with up, up_filter, the padding and a gain of up², and
// D is upfirdn2d with down and down_filter.
struct FilteredLrelu {
    Tensor x;            // [N, C, H, W]
    Tensor up_filter;    // [k] (separable)
    Tensor down_filter;  // [k] (separable) or [kh, kw]
    Tensor bias;         // [C], or not given; like the filters in the accumulator's dtype
    Tensor out;          // [N, C, OH, OW] in x's dtype
    int up = 1, down = 1, pad_left = 0, pad_top = 0;
    bool flip = false;
    double gain = 1, slope = 0;
    double clamp = -1;  // negative: not clamped
};

namespace cuda {
void filtered_lrelu(const FilteredLrelu&, Queue);
}

}  // namespace higan_fast
