// BigGAN's normalisation with stored statistics, class-conditional scale and shift, activation and upsampling.
#include "activation.h"
#include "runs.h"
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

// activation((x − mean) · scale + shift), where everything but x is constant per sample and channel.
template <class S>
class Normalisation {
  public:
    Normalisation(const ConditionalBatchNormAct& op, Index num, Index channels)
        : channels_(channels),
          mean_(channels),
          scale_(num * channels),
          shift_(num * channels),
          activation_(op.activation, op.alpha, op.gain, -1) {
        const auto mean = array<const S>(op.mean, "mean", {channels});
        const auto variance = array<const S>(op.variance, "variance", {channels});
        const auto scale = array<const S>(op.scale, "scale", {num, channels});
        const auto shift = array<const S>(op.shift, "shift", {num, channels});
        const S gain = activation_.before();
        for (Index c = 0; c < channels; ++c) {
            mean_[c] = *mean.at(c);
            const S inverse = S(1) / std::sqrt(*variance.at(c) + S(op.epsilon));
            for (Index n = 0; n < num; ++n) {
                scale_[n * channels + c] = inverse * *scale.at(n, c) * gain;
                shift_[n * channels + c] = *shift.at(n, c) * gain;
            }
        }
    }

    template <bool CHANNELS, class T>
    ALWAYS_INLINE void run(T* to, const T* x, Index n, Index c, int length) const {
        const S* const mean = mean_.data() + c;
        const S* const scale = scale_.data() + n * channels_ + c;
        const S* const shift = shift_.data() + n * channels_ + c;
        activation_.with([&](const auto activated) INLINE_LAMBDA {
            for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
                const auto channel = [&](const S* values) INLINE_LAMBDA {
                    return CHANNELS ? load(values + i, lanes) : broadcast(*values);
                };
                const Vector<S> centred = load(x + i, lanes) - channel(mean);
                store(to + i, activated(multiply_add(centred, channel(scale), channel(shift))), lanes);
            });
        });
    }

  private:
    Index channels_;
    Buffer<S> mean_, scale_, shift_;
    PreparedActivation<S> activation_;
};

template <bool CHANNELS, class T, class S>
void normalise(const Array<const T, 4>& x, const Normalisation<S>& normalisation, const Array<T, 4>& out,
               const Sizes& sizes, int up, Queue queue) {
    const Index along = out.strides[ALONG<CHANNELS>];
    for_each_run<CHANNELS>(queue, sizes, [&](Index n, Index c, Index h, Index w, int length) INLINE_LAMBDA {
        T scratch[LONGEST_RUN];
        const T* const run = gathered(x.at(n, c, h, w), x.strides[ALONG<CHANNELS>], length, scratch);
        if (up == 1) {
            scattered(out.at(n, c, h, w), along, length, [&](T* to) INLINE_LAMBDA {
                normalisation.template run<CHANNELS>(to, run, n, c, length);
            });
            return;
        }
        T normalised[LONGEST_RUN];
        normalisation.template run<CHANNELS>(normalised, run, n, c, length);
        for (int copy = 0; copy < (CHANNELS ? 4 : 2); ++copy) {
            T* const to = out.at(n, c, 2 * h + copy % 2, 2 * w + copy / 2);
            if (CHANNELS && along == 1) {
                std::memcpy(static_cast<void*>(to), normalised, std::size_t(length) * sizeof(T));
            } else if (CHANNELS) {
                for (int i = 0; i < length; ++i) to[i * along] = normalised[i];
            } else {
                for (int i = 0; i < length; ++i) to[2 * i * along] = to[(2 * i + 1) * along] = normalised[i];
            }
        }
    });
}

}  // namespace

void conditional_batch_norm_act(const ConditionalBatchNormAct& op, Queue queue) {
    const Sizes sizes = sizes_of(op.x, "x");
    if (sizes.elements() == 0) return;
    if (op.up != 1 && op.up != 2) wrong_argument("up", op.up, "1 or 2");
    with_type(op.x.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using S = accumulator_t<T>;
        const auto x = array<const T>(op.x, "x", {sizes.num, sizes.channels, sizes.height, sizes.width});
        const auto out =
            array<T>(op.out, "out", {sizes.num, sizes.channels, sizes.height * op.up, sizes.width * op.up});
        const Normalisation<S> normalisation(op, sizes.num, sizes.channels);
        with_bool(runs_along_channels(x, out, sizes), [&](auto channels) {
            const Sizes rows = channels || op.up == 2 ? sizes : as_one_row(sizes, x, out);
            normalise<channels>(x, normalisation, out, rows, op.up, queue);
        });
    });
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
