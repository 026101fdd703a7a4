// A modulated 1×1 convolution to RGB, added to the upsampled RGB of the previous block.
#include "fir.h"
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

constexpr int MOST_COLOURS = 4;

// sums[k·LONGEST_RUN + p] = Σ_i weights[k, i]·x[p, i] for `length` pixels with contiguous channels. It may also write
// past these, up to a whole block.
template <int COLOURS, class T, class S>
void mix_channels(S* sums, const T* x, Index pixel_stride, const S* weights, int channels, int length) {
    constexpr int PIXELS = 4, BLOCK = 16;  // PIXELS at once, so that a weight is loaded once for all of them
    for (int first = 0; first < length; first += BLOCK) {
        Vector<S> partial[COLOURS][BLOCK];
        for (int p = 0; p < BLOCK; p += PIXELS) {
            const T* pixels[PIXELS];
            for (int q = 0; q < PIXELS; ++q) pixels[q] = x + smaller(first + p + q, length - 1) * pixel_stride;
            Vector<S> v[COLOURS][PIXELS] = {};
            for_vectors<S>(channels, [&](int i, auto lanes) INLINE_LAMBDA {
                for (int k = 0; k < COLOURS; ++k) {
                    const Vector<S> weight = load(weights + Index(k) * channels + i, lanes);
                    for (int q = 0; q < PIXELS; ++q) {
                        v[k][q] = multiply_add(load(pixels[q] + i, lanes), weight, v[k][q]);
                    }
                }
            });
            for (int k = 0; k < COLOURS; ++k) {
                for (int q = 0; q < PIXELS; ++q) partial[k][p + q] = v[k][q];
            }
        }
        for (int k = 0; k < COLOURS; ++k) {
            for (int p = 0; p < BLOCK; p += LANES<S>) {
                store(sums + k * LONGEST_RUN + first + p, sum_each<S>(partial[k] + p), Full{});
            }
        }
    }
}

// The same for any layout: channel by channel, along the pixels.
template <class T, class S>
void mix_pixels(S* sums, const T* x, Index channel_stride, Index pixel_stride, const S* weights, int colours,
                int channels, int length) {
    for (int i = 0; i < channels; i += GROUP) {
        const int count = int(smaller(GROUP, channels - i));
        const T* sources[GROUP];
        for (int j = 0; j < count; ++j) sources[j] = x + (i + j) * channel_stride;
        for (int k = 0; k < colours; ++k) {
            const S* const weight = weights + Index(k) * channels + i;
            weighted_sum(sums + k * LONGEST_RUN, i > 0, sources, weight, count, pixel_stride, length);
        }
    }
}

// The identity filter, for an rgb that already has the right size.
template <class S>
Filter<S> identity() {
    static const S one = 1;
    return {&one, 0, 0, 1, 1};
}

// weights[n, k, i] = weight[k, i]·styles[n, i]
template <class S>
void modulate_weights(S* weights, const ToRgb& op, Index num, Index colours, Index channels) {
    const auto weight = array<const S>(op.weight, "weight", {colours, channels});
    const auto styles = array<const S>(op.styles, "styles", {num, channels});
    for (Index n = 0; n < num; ++n) {
        for (Index k = 0; k < colours; ++k) {
            for (Index i = 0; i < channels; ++i) *weights++ = *weight.at(k, i) * *styles.at(n, i);
        }
    }
}

template <class T, class S>
void mix(S* sums, const T* x, Index channel_stride, Index step, const S* weights, int colours, int channels,
         int length) {
    if (channel_stride != 1) {
        return mix_pixels(sums, x, channel_stride, step, weights, colours, channels, length);
    }
    if (colours == 1) mix_channels<1>(sums, x, step, weights, channels, length);
    if (colours == 2) mix_channels<2>(sums, x, step, weights, channels, length);
    if (colours == 3) mix_channels<3>(sums, x, step, weights, channels, length);
    if (colours == 4) mix_channels<4>(sums, x, step, weights, channels, length);
}

template <class T>
void make_rgb(const ToRgb& op, const Sizes& sizes, Queue queue) {
    using S = accumulator_t<T>;
    const Index channels = op.x.sizes[1];
    const int colours = int(sizes.channels);
    const bool half = op.rgb.given() && (op.rgb.sizes[2] != sizes.height || op.rgb.sizes[3] != sizes.width);
    const Sizes before{sizes.num, colours, sizes.height / (half ? 2 : 1), sizes.width / (half ? 2 : 1)};
    const auto x = array<const T>(op.x, "x", {sizes.num, channels, sizes.height, sizes.width});
    const auto bias = optional_array<const S>(op.bias, "bias", {colours});
    const auto rgb = optional_array<const S>(op.rgb, "rgb", {sizes.num, colours, before.height, before.width});
    const auto out = array<S>(op.out, "out", {sizes.num, colours, sizes.height, sizes.width});
    const Filter<S> filter = half ? filter_of<S>(op.filter) : identity<S>();
    const Axis<S> axis(filter, false, half ? 2 : 1, half ? 2 : 1, 1, half ? filter.rows / 2 : 0);
    const S bound = op.clamp >= 0 ? S(op.clamp) : S(HUGE_VAL);
    Buffer<S> weights(sizes.num * colours * channels);
    modulate_weights(weights.data(), op, sizes.num, colours, channels);

    const Index across = parts(sizes.width, LONGEST_RUN), work = sizes.num * channels * sizes.height * sizes.width;
    parallel_for(queue, sizes.num * sizes.height * across, work, [&](Index job) {
        const Index w = job % across * LONGEST_RUN, row = job / across;
        const Index h = row % sizes.height, n = row / sizes.height;
        const int length = int(smaller(LONGEST_RUN, sizes.width - w));
        S sums[MOST_COLOURS * LONGEST_RUN], upsampled[LONGEST_RUN] = {};
        if (channels == 0) std::memset(sums, 0, sizeof sums);
        const S* const mine = &weights[n * colours * channels];
        mix(sums, x.at(n, 0, h, w), x.strides[1], x.strides[3], mine, colours, int(channels), length);
        const Index column = axis.begin(w);
        const int num_columns = int(axis.end(w + length - 1) - column);
        Buffer<S> columns(num_columns);
        for (int k = 0; k < colours; ++k) {
            if (rgb) {
                const Plane<S> plane = plane_of(rgb, before, {n, k, 0, 0, 0, 0, 1});
                sum_rows(columns.data(), plane, axis.at(h), column, num_columns);
                sum_columns(upsampled, columns.data(), column, axis, w, length, 1);
            }
            const S shift = bias ? *bias.at(k) : S(0);
            const S* const sum = sums + k * LONGEST_RUN;
            scattered(out.at(n, k, h, w), out.strides[3], length, [&](S* to) INLINE_LAMBDA {
                for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
                    Vector<S> v = load(sum + i, lanes) + shift;
                    v = v > bound ? broadcast(bound) : v < -bound ? broadcast(-bound) : v;
                    store(to + i, v + load(upsampled + i, lanes), lanes);
                });
            });
        }
    });
}

}  // namespace

void to_rgb(const ToRgb& op, Queue queue) {
    const Sizes sizes = sizes_of(op.out, "out");
    sizes_of(op.x, "x");
    if (sizes.elements() == 0) return;
    if (sizes.channels > MOST_COLOURS) wrong_argument("out", sizes.channels, "at most 4 channels");
    if (op.filter.rank > 1) wrong_argument("filter", op.filter.rank, "rank 1");
    with_type(op.x.dtype, [&](auto type) { make_rgb<typename decltype(type)::type>(op, sizes, queue); });
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
