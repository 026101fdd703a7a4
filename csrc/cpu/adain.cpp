// StyleGAN's layer tail: noise, bias, activation, instance normalisation, style.
#include "activation.h"
#include "runs.h"
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

// activation(x + noise·strength + bias), run by run, in the accumulator's precision.
template <class T>
class Activated {
    using S = accumulator_t<T>;

  public:
    Activated(const Adain& op, const Sizes& sizes)
        : x(array<const T>(op.x, "x", {sizes.num, sizes.channels, sizes.height, sizes.width})),
          noise_(optional_array<const S>(op.noise, "noise", {sizes.num, 1, sizes.height, sizes.width})),
          activation_(op.activation, op.alpha, op.gain, -1),
          strength_(sizes.channels),
          bias_(sizes.channels) {
        const auto strength = optional_array<const S>(op.strength, "strength", {sizes.channels});
        const auto bias = optional_array<const S>(op.bias, "bias", {sizes.channels});
        for (Index c = 0; c < sizes.channels; ++c) {
            strength_[c] = strength ? *strength.at(c) * activation_.before() : S(0);
            bias_[c] = bias ? *bias.at(c) * activation_.before() : S(0);
        }
    }

    // Computes values[i] for the run of `length` that starts at (n, c, h, w).
    template <bool CHANNELS>
    ALWAYS_INLINE void run(S* values, Index n, Index c, Index h, Index w, int length) const {
        T scratch[LONGEST_RUN];
        S noise_scratch[LONGEST_RUN];
        const T* const from = gathered(x.at(n, c, h, w), x.strides[ALONG<CHANNELS>], length, scratch);
        const S* noise = noise_ ? noise_.at(n, 0, h, w) : nullptr;
        if (noise && !CHANNELS) noise = gathered(noise, noise_.strides[3], length, noise_scratch);
        const S *const strength = &strength_[c], *const bias = &bias_[c];
        const Vector<S> before = broadcast(activation_.before());
        activation_.with([&](const auto activated) INLINE_LAMBDA {
            for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
                Vector<S> v = CHANNELS ? load(bias + i, lanes) : broadcast(*bias);
                if (noise) {
                    v = CHANNELS ? multiply_add(load(strength + i, lanes), broadcast(*noise), v)
                                 : multiply_add(load(noise + i, lanes), broadcast(*strength), v);
                }
                store(values + i, activated(multiply_add(load(from + i, lanes), before, v)), lanes);
            });
        });
    }

    const Array<const T, 4> x;
    const Array<const S, 4>& noise() const { return noise_; }

  private:
    Array<const S, 4> noise_;
    PreparedActivation<S> activation_;
    Buffer<S> strength_, bias_;
};

// Mean and variance [N, C] of each plane of activated values.
template <class S>
struct Statistics {
    Buffer<S> mean, variance;
};

// Along pixels, plane by plane: first the mean, then the squared deviations.
template <class T, class S>
void measure_planes(const Activated<T>& activated, const Sizes& sizes, const Statistics<S>& statistics,
                    Queue queue) {
    parallel_for(queue, sizes.num * sizes.channels, sizes.elements(), [&](Index plane) {
        S values[LONGEST_RUN];
        const auto sum = [&](const auto& term) INLINE_LAMBDA {
            double total = 0;
            for (Index h = 0; h < sizes.height; ++h) {
                for (Index w = 0; w < sizes.width; w += LONGEST_RUN) {
                    const int length = int(smaller(LONGEST_RUN, sizes.width - w));
                    const Index n = plane / sizes.channels, c = plane % sizes.channels;
                    activated.template run<false>(values, n, c, h, w, length);
                    Vector<S> sums = {};
                    for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
                        store(values + i, term(load(values + i, lanes)), lanes);
                        sums += load(values + i, lanes);  // zero past the end
                    });
                    total += sum_lanes<S>(sums);
                }
            }
            return S(total / double(sizes.height * sizes.width));
        };
        const S mean = sum([](Vector<S> v) INLINE_LAMBDA { return v; });
        statistics.mean[plane] = mean;
        statistics.variance[plane] = sum([&](Vector<S> v) INLINE_LAMBDA { return (v - mean) * (v - mean); });
    });
}

// Along channels, in pieces of a few rows, independent of the number of threads: mean and sum of squared deviations of
// each piece, then merged in order.
template <class T, class S>
void measure_channels(const Activated<T>& activated, const Sizes& sizes, const Statistics<S>& statistics,
                      Queue queue) {
    constexpr int PIXELS = 128, BLOCK = 64;
    const Index rows = sizes.width < PIXELS ? PIXELS / sizes.width : 1, pieces = parts(sizes.height, rows);
    Buffer<S> means(sizes.num * pieces * sizes.channels), squares(sizes.num * pieces * sizes.channels);
    parallel_for(queue, sizes.num * pieces, sizes.elements(), [&](Index job) {
        const Index n = job / pieces, begin = job % pieces * rows, end = smaller(begin + rows, sizes.height);
        const Index num_pixels = (end - begin) * sizes.width;
        Buffer<S> values(num_pixels * BLOCK);
        for (Index c = 0; c < sizes.channels; c += BLOCK) {
            const int length = int(smaller(BLOCK, sizes.channels - c));
            S *const mean = &means[job * sizes.channels + c], *const square = &squares[job * sizes.channels + c];
            for (int i = 0; i < length; ++i) mean[i] = square[i] = 0;
            S* pixel = values.data();
            for (Index h = begin; h < end; ++h) {
                for (Index w = 0; w < sizes.width; ++w, pixel += BLOCK) {
                    activated.template run<true>(pixel, n, c, h, w, length);
                    for (int i = 0; i < length; ++i) mean[i] += pixel[i];
                }
            }
            for (int i = 0; i < length; ++i) mean[i] /= S(num_pixels);
            for (pixel = values.data(); pixel < values.data() + num_pixels * BLOCK; pixel += BLOCK) {
                for (int i = 0; i < length; ++i) square[i] += (pixel[i] - mean[i]) * (pixel[i] - mean[i]);
            }
        }
    });
    const double area = double(sizes.height * sizes.width);
    parallel_for(queue, sizes.num * sizes.channels, sizes.num * pieces * sizes.channels, [&](Index plane) {
        const Index first = plane / sizes.channels * pieces * sizes.channels + plane % sizes.channels;
        const auto sum = [&](const auto& term) INLINE_LAMBDA {
            double total = 0;
            for (Index piece = 0; piece < pieces; ++piece) {
                const Index num_pixels = smaller(rows, sizes.height - piece * rows) * sizes.width;
                total += term(first + piece * sizes.channels, double(num_pixels));
            }
            return total / area;
        };
        const double mean = sum([&](Index i, double num) INLINE_LAMBDA { return num * means[i]; });
        statistics.mean[plane] = S(mean);
        statistics.variance[plane] = S(sum([&](Index i, double num) INLINE_LAMBDA {
            return squares[i] + num * (means[i] - mean) * (means[i] - mean);
        }));
    });
}

// out = (a − mean) · factor + shift, where factor = scale / √(variance + epsilon).
template <bool CHANNELS, class T, class S>
void normalise(const Activated<T>& activated, const Statistics<S>& statistics, const Adain& op,
               const Array<T, 4>& out, const Sizes& sizes, Queue queue) {
    const Factors<S> shift(op.shift, "shift", sizes.num, sizes.channels, 0, 1);
    const auto scale = array<const S>(op.scale, "scale", {sizes.num, sizes.channels});
    Buffer<S> factor(sizes.num * sizes.channels);
    for (Index plane = 0; plane < sizes.num * sizes.channels; ++plane) {
        const S given = *scale.at(plane / sizes.channels, plane % sizes.channels);
        factor[plane] = given / std::sqrt(statistics.variance[plane] + S(op.epsilon));
    }
    for_each_run<CHANNELS>(queue, sizes, [&](Index n, Index c, Index h, Index w, int length) INLINE_LAMBDA {
        S values[LONGEST_RUN];
        activated.template run<CHANNELS>(values, n, c, h, w, length);
        const Index plane = n * sizes.channels + c;
        const S *const mean = &statistics.mean[plane], *const factors = &factor[plane];
        const S* const shifts = shift.at(n, c);
        scattered(out.at(n, c, h, w), out.strides[ALONG<CHANNELS>], length, [&](T* to) INLINE_LAMBDA {
            for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
                const auto channel = [&](const S* each) INLINE_LAMBDA {
                    return CHANNELS ? load(each + i, lanes) : broadcast(*each);
                };
                const Vector<S> centred = load(values + i, lanes) - channel(mean);
                store(to + i, multiply_add(centred, channel(factors), channel(shifts)), lanes);
            });
        });
    });
}

}  // namespace

void adain(const Adain& op, Queue queue) {
    const Sizes sizes = sizes_of(op.out, "out");
    if (sizes.elements() == 0) return;
    with_type(op.x.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using S = accumulator_t<T>;
        const Activated<T> activated(op, sizes);
        const auto out = array<T>(op.out, "out", {sizes.num, sizes.channels, sizes.height, sizes.width});
        const Index planes = sizes.num * sizes.channels;
        const Statistics<S> statistics{Buffer<S>(planes), Buffer<S>(planes)};
        if (runs_along_channels(activated.x, out, sizes)) {
            measure_channels(activated, sizes, statistics, queue);
            normalise<true>(activated, statistics, op, out, sizes, queue);
        } else {
            const Sizes rows = as_one_row(sizes, activated.x, out, activated.noise());
            measure_planes(activated, rows, statistics, queue);
            normalise<false>(activated, statistics, op, out, rows, queue);
        }
    });
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
