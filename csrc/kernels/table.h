// The ops of the CUDA backend, and of its emulation, which compiles the same code.
#pragma once

#include "ops.h"

namespace higan_fast::cuda {

inline Ops ops() {
    return {bias_act,       upfirdn2d,    modulate,     conv_epilogue,  modulated_conv2d, adain,  conditional_batch_norm_act, to_rgb,
            image_to_input, finish_block, layer_styles, perturb_styles, filtered_lrelu,   nullptr, nullptr};
}

}  // namespace higan_fast::cuda
