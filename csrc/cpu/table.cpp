// Every op of one instruction set.
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

const Ops& table() {
    static constexpr Ops ops = {bias_act, upfirdn2d, modulate, conv_epilogue, nullptr, adain,
                                conditional_batch_norm_act, to_rgb, image_to_input, finish_block, layer_styles, perturb_styles,
                                filtered_lrelu, winograd_weight, winograd_conv2d};
    return ops;
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
