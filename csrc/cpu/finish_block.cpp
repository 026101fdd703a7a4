// The end of a block, step by step.
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

void finish_block(const FinishBlock& op, Queue queue) {
    conv_epilogue(op.only_tail(), queue);
    to_rgb(op.only_rgb(), queue);
    if (op.has_styles()) modulate(op.only_styles(), queue);
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
