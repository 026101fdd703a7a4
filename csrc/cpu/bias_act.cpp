// clamp(gain · activation(x + bias)), elementwise.
#include "table.h"
#include "tail.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

// x [A, C, B] as an image whose rows have `width` pixels.
template <class T>
Array<T, 4> image(const Array<T, 3>& x, Index width) {
    return {x.data, {x.strides[0], x.strides[1], width * x.strides[2], x.strides[2]}};
}

// Threads divide the rows, so the pixels are cut into short rows if possible.
Index width_of_rows(Index pixels) {
    Index width = smaller(pixels, LONGEST_RUN);
    while (pixels % width != 0) --width;
    return width * width < pixels && width < 16 ? pixels : width;
}

}  // namespace

void bias_act(const BiasAct& op, Queue queue) {
    if (op.out.rank != 3) wrong_argument("out", op.out.rank, "rank 3");
    const Index num = op.out.sizes[0], channels = op.out.sizes[1], pixels = op.out.sizes[2];
    if (num * channels * pixels == 0) return;
    const Index width = width_of_rows(pixels);
    const Sizes sizes{num, channels, pixels / width, width};
    Tail tail;
    tail.bias = op.bias;
    tail.activation = op.activation;
    tail.alpha = op.alpha;
    tail.gain = op.gain;
    tail.clamp = op.clamp;
    with_type(op.x.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const auto x = image(array<const T>(op.x, "x", {num, channels, pixels}), width);
        const auto out = image(array<T>(op.out, "out", {num, channels, pixels}), width);
        const PreparedTail<accumulator_t<T>> prepared(tail, sizes);
        with_bool(runs_along_channels(x, out, sizes), [&](auto along_channels) {
            apply_tail<along_channels>(x, out, sizes, prepared, queue);
        });
    });
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
