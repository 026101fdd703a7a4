// The tail of a convolution (kernels/conv_epilogue.h) on one run of values.
#pragma once

#include "../kernels/conv_epilogue.h"
#include "activation.h"
#include "runs.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

template <class S>
class PreparedTail {
  public:
    PreparedTail(const Tail& tail, const Sizes& sizes)
        : activation_(tail.activation, tail.alpha, tail.gain, tail.clamp),
          demod_(tail.demod, "demod", sizes.num, sizes.channels, 1, activation_.before()),
          bias_(sizes.channels),
          styles_(tail.next_styles, "next_styles", sizes.num, sizes.channels, 1, 1),
          styled_(tail.next_styles.given()),
          noise_(optional_array<const S>(tail.noise, "noise", {sizes.num, 1, sizes.height, sizes.width})) {
        const auto bias = optional_array<const S>(tail.bias, "bias", {sizes.channels});
        for (Index c = 0; c < sizes.channels; ++c) bias_[c] = bias ? *bias.at(c) * activation_.before() : S(0);
    }

    const Array<const S, 4>& noise() const { return noise_; }

    // out[i] = tail(values(i)) for the run of `length` that starts at (n, c, h, w); values(i, lanes) is a vector.
    template <bool CHANNELS, class T, class Values>
    ALWAYS_INLINE void finish(T* out, Index n, Index c, Index h, Index w, int length, const Values& values) const {
        const S* const demod = demod_.at(n, c);
        const S* const bias = bias_.data() + c;
        const S* const styles = styles_.at(n, c);
        const bool styled = styled_;
        const S gain = activation_.before();
        activation_.with([&](const auto activated) INLINE_LAMBDA {
            if constexpr (CHANNELS) {
                const Vector<S> noise = broadcast(noise_ ? *noise_.at(n, 0, h, w) * gain : S(0));
                for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
                    const Vector<S> v = multiply_add(values(i, lanes), load(demod + i, lanes), noise);
                    Vector<S> y = activated(v + load(bias + i, lanes));
                    if (styled) y *= load(styles + i, lanes);
                    store(out + i, y, lanes);
                });
            } else {
                const Vector<S> scale = broadcast(*demod), shift = broadcast(*bias);
                const S style = styled ? *styles : S(1);
                S scratch[LONGEST_RUN];
                const S* const noise =
                    noise_ ? gathered(noise_.at(n, 0, h, w), noise_.strides[3], length, scratch) : nullptr;
                for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
                    Vector<S> v = values(i, lanes) * scale;
                    if (noise) v = multiply_add(load(noise + i, lanes), broadcast(gain), v);
                    store(out + i, activated(v + shift) * style, lanes);
                });
            }
        });
    }

  private:
    PreparedActivation<S> activation_;
    Factors<S> demod_;
    Buffer<S> bias_;
    Factors<S> styles_;
    bool styled_;
    Array<const S, 4> noise_;
};

// out = tail(x), elementwise; out may be x.
template <bool CHANNELS, class T>
void apply_tail(const Array<const T, 4>& x, const Array<T, 4>& out, const Sizes& sizes,
                const PreparedTail<accumulator_t<T>>& tail, Queue queue) {
    for_each_run<CHANNELS>(queue, sizes, [&](Index n, Index c, Index h, Index w, int length) INLINE_LAMBDA {
        T scratch[LONGEST_RUN];
        const T* const run = gathered(x.at(n, c, h, w), x.strides[ALONG<CHANNELS>], length, scratch);
        scattered(out.at(n, c, h, w), out.strides[ALONG<CHANNELS>], length, [&](T* to) INLINE_LAMBDA {
            tail.template finish<CHANNELS>(to, n, c, h, w, length, [&](int i, auto lanes) INLINE_LAMBDA {
                return load(run + i, lanes);
            });
        });
    });
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
