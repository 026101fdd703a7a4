// Modulated convolution as an implicit GEMM on tensor cores, including its tail. CUDA only: elsewhere the library
// convolves and conv_epilogue applies the tail.
#pragma once

#include "conv_epilogue.h"

namespace higan_fast {

// up = 1: out[m] = tail(conv(x[m / P] · styles[m], weight)), zero padding k / 2, k = 1 or 3.
// up = 2: out[m] = conv_transpose(x[m / P] · styles[m], weight, stride 2): [.., 2H + k − 2, 2W + k − 2], without
//         the tail; the next launch is then conv_epilogue with its filter.
// In both, m = 0 … N·P − 1 with P = out.sizes[0] / x.sizes[0]: several styles can share one activation without copies.
struct ModulatedConv2d {
    Tensor x;       // [N, I, H, W], float16, bfloat16 or float32, channels-last (stride of I is 1), I a multiple of 8
                    // (float32: of 4)
    Tensor weight;  // [O, k, k, I], contiguous, x's dtype: [O, I, k, k] permuted, never rotated (see the .cu file)
    Tensor styles;  // [N·P, I] float32; not given: x is already modulated
    int up = 1;
    Tail tail;
    Tensor out;  // [N·P, O, H', W'], channels-last, x's dtype
};

namespace cuda {
void modulated_conv2d(const ModulatedConv2d&, Queue);
}

}  // namespace higan_fast
