// One activation scaled by one or several styles.
#include "runs.h"
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

template <bool CHANNELS, class T, class S>
void scale(const Array<const T, 4>& x, const Factors<S>& styles, Index styles_per_sample, const Array<T, 4>& out,
           const Sizes& sizes, Queue queue) {
    for_each_run<CHANNELS>(queue, sizes, [&](Index m, Index c, Index h, Index w, int length) INLINE_LAMBDA {
        T scratch[LONGEST_RUN];
        const Index n = m / styles_per_sample;
        const T* const run = gathered(x.at(n, c, h, w), x.strides[ALONG<CHANNELS>], length, scratch);
        const S* const style = styles.at(m, c);
        scattered(out.at(m, c, h, w), out.strides[ALONG<CHANNELS>], length, [&](T* to) INLINE_LAMBDA {
            for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
                const Vector<S> factor = CHANNELS ? load(style + i, lanes) : broadcast(*style);
                store(to + i, load(run + i, lanes) * factor, lanes);
            });
        });
    });
}

}  // namespace

void modulate(const Modulate& op, Queue queue) {
    const Sizes sizes = sizes_of(op.out, "out");
    if (sizes.elements() == 0) return;
    const Index num = sizes_of(op.x, "x").num;
    if (num == 0 || sizes.num % num != 0) wrong_argument("x", num, "a number of samples that divides the styles'");
    with_type(op.x.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using S = accumulator_t<T>;
        const auto x = array<const T>(op.x, "x", {num, sizes.channels, sizes.height, sizes.width});
        const auto out = array<T>(op.out, "out", {sizes.num, sizes.channels, sizes.height, sizes.width});
        const Factors<S> styles(op.styles, "styles", sizes.num, sizes.channels, 1, 1);
        with_bool(runs_along_channels(x, out, sizes), [&](auto channels) {
            const Sizes rows = channels ? sizes : as_one_row(sizes, x, out);
            scale<channels>(x, styles, sizes.num / num, out, rows, queue);
        });
    });
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
