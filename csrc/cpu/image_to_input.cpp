// Generated images → input of a scoring network: clip, round, resize and normalise.
#include "fir.h"
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

// One axis of a bilinear resize: out[o] = Σ_t weights[t, o]·in[first[o] + t].
template <class S>
struct Resize {
    int size, num_taps;
    Buffer<int> first;
    Buffer<S> weights;  // [num_taps, size]

    Resize(int from, int to, bool antialias)
        : size(to), num_taps(taps(from, to, antialias)), first(to), weights(Index(num_taps) * to) {
        const double scale = double(from) / to;
        const double support = antialias && scale > 1 ? scale : 1;  // half the width of the triangle
        for (int o = 0; o < to; ++o) {
            // positions refer to pixel centres; past the edge, a resize without antialias repeats the edge pixel
            double centre = (o + 0.5) * scale - 0.5;
            if (!antialias) centre = centre < 0 ? 0 : centre > from - 1 ? from - 1 : centre;
            const int begin = int(smaller(Index(std::floor(centre - support)) + 1, from - num_taps));
            first[o] = begin < 0 ? 0 : begin;
            double sum = 0;
            for (int t = 0; t < num_taps; ++t) sum += triangle(centre, support, first[o] + t);
            for (int t = 0; t < num_taps; ++t) {
                weights[Index(t) * to + o] = S(triangle(centre, support, first[o] + t) / sum);
            }
        }
    }

  private:
    static int taps(int from, int to, bool antialias) {
        if (from == to) return 1;
        const int most = antialias && from > to ? 2 * parts(from, to) + 1 : 2;
        return int(smaller(most, from));
    }
    static double triangle(double centre, double support, int pixel) {
        const double distance = std::abs(centre - pixel) / support;
        return distance < 1 ? 1 - distance : 0;
    }
};

// to[i] = clip(x[i], −1, 1) mapped to [0, 1], and to one of 256 levels if rounded.
template <class T, class S>
ALWAYS_INLINE void to_unit_range(S* to, const T* x, bool rounded, int length) {
    for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
        Vector<S> v = load(x + i, lanes);
        v = v < -1 ? broadcast(S(-1)) : v > 1 ? broadcast(S(1)) : v;
        v = (v + S(1)) * S(0.5);
        if (rounded) v = round_down<S>(v * S(255) + S(0.5)) / S(255);
        store(to + i, v, lanes);
    });
}

// to[o] = Σ_t weights[t, o]·from[first[o] + t]
template <class S>
void resize_row(S* to, const S* from, const Resize<S>& resize) {
    const int* const first = resize.first.data();
    for (int t = 0; t < resize.num_taps; ++t) {
        const S* const weights = &resize.weights[Index(t) * resize.size];
#pragma omp simd
        for (int o = 0; o < resize.size; ++o) to[o] = (t ? to[o] : S(0)) + weights[o] * from[first[o] + t];
    }
}

template <class T>
void convert(const ImageToInput& op, const Sizes& from, const Sizes& to, Queue queue) {
    using S = accumulator_t<T>;
    const int channels = int(from.channels);
    const auto images = array<const T>(op.images, "images", {to.num, channels, from.height, from.width});
    const auto out = array<T>(op.out, "out", {to.num, channels, to.height, to.width});
    const Resize<S> across(int(from.width), int(to.width), op.antialias);
    const Resize<S> down(int(from.height), int(to.height), op.antialias);
    constexpr int ROWS = 16;  // of the result; each needs some rows of the image, resized horizontally
    const Index blocks = parts(to.height, ROWS);
    parallel_for(queue, to.num * blocks, to.num * channels * from.height * from.width, [&](Index job) {
        const Index n = job / blocks, begin = job % blocks * ROWS, end = smaller(begin + ROWS, to.height);
        const Index top = down.first[begin], rows = down.first[end - 1] + down.num_taps - top;
        Buffer<S> unit(from.width), resized(rows * to.width), sum(to.width);
        for (int k = 0; k < channels; ++k) {
            for (Index r = 0; r < rows; ++r) {
                for (Index w = 0; w < from.width; w += LONGEST_RUN) {
                    T scratch[LONGEST_RUN];
                    const int length = int(smaller(LONGEST_RUN, from.width - w));
                    const T* const run = gathered(images.at(n, k, top + r, w), images.strides[3], length, scratch);
                    to_unit_range(&unit[w], run, op.round_to_uint8, length);
                }
                resize_row(&resized[r * to.width], unit.data(), across);
            }
            for (Index h = begin; h < end; ++h) {
                for (int t = 0; t < down.num_taps; t += GROUP) {
                    const int count = int(smaller(GROUP, down.num_taps - t));
                    const S* sources[GROUP];
                    S weights[GROUP];
                    for (int i = 0; i < count; ++i) {
                        sources[i] = &resized[(down.first[h] - top + t + i) * to.width];
                        weights[i] = down.weights[(t + i) * to.height + h];
                    }
                    weighted_sum(sum.data(), t > 0, sources, weights, count, 1, int(to.width));
                }
                for (Index w = 0; w < to.width; w += LONGEST_RUN) {
                    const int length = int(smaller(LONGEST_RUN, to.width - w));
                    scattered(out.at(n, k, h, w), out.strides[3], length, [&](T* run) INLINE_LAMBDA {
                        for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
                            store(run + i, (load(&sum[w] + i, lanes) - S(op.mean[k])) / S(op.std[k]), lanes);
                        });
                    });
                }
            }
        }
    });
}

}  // namespace

void image_to_input(const ImageToInput& op, Queue queue) {
    const Sizes to = sizes_of(op.out, "out"), from = sizes_of(op.images, "images");
    if (from.channels < 1 || from.channels > MOST_INPUT_CHANNELS) {
        wrong_argument("images", from.channels, "1 to 4 channels");
    }
    if (to.elements() == 0) return;
    if (from.height * from.width == 0) wrong_argument("images", 0, "1 or more pixels");
    with_type(op.images.dtype, [&](auto type) { convert<typename decltype(type)::type>(op, from, to, queue); });
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
