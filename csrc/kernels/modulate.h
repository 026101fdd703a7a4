// One activation scaled by one or several styles: the input of a convolution with shared weights.
#pragma once

#include "../include/launch.h"
#include "../include/tensor_view.h"

namespace higan_fast {

// out[n·P + p, c, h, w] = x[n, c, h, w] · styles[n·P + p, c], with P = styles.sizes[0] / x.sizes[0].
struct Modulate {
    Tensor x;       // [N, C, H, W]
    Tensor styles;  // [N·P, C] in the accumulator's dtype
    Tensor out;     // [N·P, C, H, W] in x's dtype
};

namespace cuda {
void modulate(const Modulate&, Queue);
}

}  // namespace higan_fast
