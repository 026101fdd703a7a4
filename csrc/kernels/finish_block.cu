// The end of a block in one pass over x where channels lie side by side in whole vectors, and step by step elsewhere.
#include "finish_block.h"

#include "../include/dispatch.h"
#include "../include/fold.h"
#include "to_rgb.cuh"

namespace higan_fast {
namespace {

constexpr int MOST_FUSED_CHANNELS = 2048;  // with three colors, their factors take 48 KB

template <class T>
bool can_be_fused(const FinishBlock& op) {
    constexpr int V = WIDEST<T>;
    return can_vectorize(op.x, 1, V, sizeof(T)) && can_vectorize(op.features, 1, V, sizeof(T)) &&
           is_rectifier(op.tail.activation) && op.weight.sizes[0] <= 3 && op.x.sizes[1] <= MOST_FUSED_CHANNELS;
}

template <class T>
void launch(FinishBlock op, Queue queue) {
    constexpr int V = WIDEST<T>, K = 3;
    const RgbTail rgb = rgb_tail(op.rgb_bias, op.rgb, op.filter, op.rgb_clamp, op.out);
    Tensor& noise = op.tail.noise;
    for (Tensor* tensor : {&op.x, &op.features, &noise}) drop_idle_strides(*tensor);
    fold({&op.x, &op.features, &noise}, 2, 3);
    const auto x = view<const T, 4>(op.x, "x");
    const auto weight = view<const float, 2>(op.weight, "weight");
    const auto styles = view<const float, 2>(op.styles, "styles");
    const TailView tail = tail_view(op.tail, op.x.sizes[0]);
    dispatch(op.keep, [&](auto keep) {
        launch_rgb_along_channels<T, V, K, true, keep.value>(x, weight, styles, rgb, tail,
                                                             view<T, 4>(op.features, "features"), queue);
    });
}

void check(const FinishBlock& op) {
    expect::rank(op.x, "x", 4);
    const std::int64_t *const sizes = op.x.sizes, n = sizes[0], c = sizes[1], h = sizes[2], w = sizes[3];
    expect::shape(op.features, "features", {n, c, h, w});
    expect_tail(op.tail, n, c, h, w);
    expect_rgb(op.weight, op.styles, op.rgb_bias, op.rgb, op.filter, op.out, sizes);
}

}  // namespace

namespace cuda {

void finish_block(const FinishBlock& op, Queue queue) {
    check(op);
    if (op.x.num_elements() == 0) return;
    dispatch(op.x.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        if (can_be_fused<T>(op)) return launch<T>(op, queue);
        conv_epilogue(op.only_tail(), queue);
        to_rgb(op.only_rgb(), queue);
        if (op.has_styles()) modulate(op.only_styles(), queue);
    });
}

}  // namespace cuda
}  // namespace higan_fast
