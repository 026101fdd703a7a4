// A 3×3 convolution by Winograd's F(4×4, 3×3), including its tail: a quarter of the products. CPUs only, float32.
//
// Lavin and Gray, arXiv 1509.09308: Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A for each tile of 4×4 results. Their points 0, ±1, ±2
// lose four times as much to rounding as float32 sums in order do; the points here are 0, ±5/8, ±3/2 and ∞, whose RMS
// error is less than twice that of such sums (tests/ops/test_winograd_conv2d.py). docs/compat.md has the figures beside
// torch's convolutions, which add in another order. A NaN or an infinity spreads over all tiles that read it.
#pragma once

#include "conv_epilogue.h"

namespace higan_fast {

constexpr int WINOGRAD_TILE = 4, WINOGRAD_SIZE = WINOGRAD_TILE + 2, WINOGRAD_POINTS = WINOGRAD_SIZE * WINOGRAD_SIZE;
constexpr int WINOGRAD_PANEL = 32;  // neighbouring output channels in memory
constexpr double WINOGRAD_NEAR = 5. / 8, WINOGRAD_FAR = 3. / 2;

// out[o / 32, p, i, o % 32] = (G weight[o, i] Gᵀ)[p], computed in float64; 0 for outputs that there are not.
struct WinogradWeight {
    Tensor weight;  // [O, I, 3, 3] float32
    Tensor out;     // [⌈O / 32⌉, 36, I, 32] float32, contiguous
};

// out[m] = tail(conv(x[m / P] · styles[m], weight)), zero padding 1, with P = out.sizes[0] / x.sizes[0].
struct WinogradConv2d {
    Tensor x;       // [N, I, H, W] float32, channels-last (stride of I is 1)
    Tensor weight;  // as from WinogradWeight
    Tensor styles;  // [N·P, I] float32; not given: x is already modulated
    Tail tail;
    Tensor out;  // [N·P, O, H, W] float32, channels-last
};

}  // namespace higan_fast
