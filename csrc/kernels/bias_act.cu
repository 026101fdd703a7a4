// Bias and activation: a convolution's tail with nothing else.
#include "../include/expect.h"
#include "../include/fold.h"
#include "conv_epilogue.h"

namespace higan_fast::cuda {

// [A, C, B] → [A, C, 1, B], or [1, C, 1, A·B] if A and B can be traversed with one stride.
static Tensor as_image(Tensor tensor) {
    tensor.rank = 4;
    tensor.sizes[3] = tensor.sizes[2], tensor.strides[3] = tensor.strides[2];
    tensor.sizes[2] = 1, tensor.strides[2] = 0;
    return tensor;
}

void bias_act(const BiasAct& op, Queue queue) {
    expect::rank(op.x, "x", 3);
    expect::shape(op.out, "out", {op.x.sizes[0], op.x.sizes[1], op.x.sizes[2]});
    expect::shape_if_given(op.bias, "bias", {op.x.sizes[1]});
    ConvEpilogue tail;
    tail.x = as_image(op.x);
    tail.out = as_image(op.out);
    fold({&tail.x, &tail.out}, 0, 3);
    tail.tail.bias = op.bias;
    tail.tail.activation = op.activation;
    tail.tail.alpha = op.alpha;
    tail.tail.gain = op.gain;
    tail.tail.clamp = op.clamp;
    conv_epilogue(tail, queue);
}

}  // namespace higan_fast::cuda
