// What follows the last convolution of a block: its tail, the block's RGB, and the modulation for the next block.
#pragma once

#include "conv_epilogue.h"
#include "modulate.h"
#include "to_rgb.h"

namespace higan_fast {

// With y = tail(x) without its next_styles, features = y·next_styles, and out is to_rgb's with y in place of x. y itself
// is not stored.
struct FinishBlock {
    Tensor x;         // [N, C, H, W]
    Tail tail;
    Tensor features;  // [N, C, H, W] in x's dtype; may be x itself
    bool keep = true;  // whether features are needed; if not, they are scratch memory
    Tensor weight, styles, rgb_bias, rgb, filter;  // as in ToRgb
    double rgb_clamp = -1;
    Tensor out;

    // The same step by step, with y in the memory of features.
    HOST_DEVICE ConvEpilogue only_tail() const {
        ConvEpilogue step;
        step.x = x, step.tail = tail, step.out = features;
        step.tail.next_styles = {};
        return step;
    }
    HOST_DEVICE ToRgb only_rgb() const { return {features, weight, styles, rgb_bias, rgb, filter, out, rgb_clamp}; }
    HOST_DEVICE Modulate only_styles() const { return {features, tail.next_styles, features}; }
    HOST_DEVICE bool has_styles() const { return keep && tail.next_styles.given(); }
};

namespace cuda {
void finish_block(const FinishBlock&, Queue);
}

}  // namespace higan_fast
