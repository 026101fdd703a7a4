// Insert zeros, pad, convolve with an FIR filter, keep every down-th pixel.
#pragma once

#include "../include/launch.h"
#include "../include/tensor_view.h"

namespace higan_fast {

// out[n, c, y, x] = gain · Σ_{i, j} tap(i, j) · X[y·down + i − pad_top, x·down + j − pad_left], where X is x with
// up − 1 zeros after each pixel, and zero outside; tap(i, j) is filter[i, j] or filter[i]·filter[j], read
// backwards in both axes unless flip is set.
struct Upfirdn2d {
    Tensor x;       // [N, C, H, W]
    Tensor filter;  // [kh, kw], or [k] (separable), in the accumulator's dtype
    Tensor out;     // [N, C, OH, OW] in x's dtype
    int up = 1, down = 1, pad_left = 0, pad_top = 0;
    bool flip = false;
    double gain = 1;  // of the whole filter, not of each axis
};

namespace cuda {
void upfirdn2d(const Upfirdn2d&, Queue);
}

}  // namespace higan_fast
