// Modulation: a convolution's tail with nothing but a factor per channel.
#include "modulate.h"

#include "../include/expect.h"
#include "conv_epilogue.h"

namespace higan_fast::cuda {

void modulate(const Modulate& op, Queue queue) {
    expect::rank(op.x, "x", 4);
    expect::rank(op.styles, "styles", 2);
    const std::int64_t num = op.styles.sizes[0];
    if (op.x.sizes[0] == 0 ? num != 0 : num % op.x.sizes[0] != 0) {
        expect::refuse(op.styles, "styles", "a multiple of x's " + std::to_string(op.x.sizes[0]) + " samples");
    }
    expect::shape(op.styles, "styles", {num, op.x.sizes[1]});
    expect::shape(op.out, "out", {num, op.x.sizes[1], op.x.sizes[2], op.x.sizes[3]});
    ConvEpilogue tail;
    tail.x = op.x;
    tail.tail.demod = op.styles;
    tail.out = op.out;
    conv_epilogue(tail, queue);
}

}  // namespace higan_fast::cuda
