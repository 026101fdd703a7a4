// The second half of layer_styles and perturb_styles: normalised styles, and their demodulation factors.
#pragma once

#include "../kernels/style_parts.h"
#include "products.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

constexpr Index AT_ONCE = 64;     // channels or outputs of a job
constexpr Index BLOCK_ROWS = 16;  // samples whose squares are kept at a time

// Some neighbouring channels or outputs of one part.
struct Share {
    const StylePart& part;
    Index begin, count;
};

template <class Size>
Index num_shares(const StyleParts& made, const Size& size) {
    Index num = 0;
    for (int i = 0; i < made.num_parts; ++i) num += parts(size(made.parts[i]), AT_ONCE);
    return num;
}

template <class Size>
Share share_of(const StyleParts& made, Index job, const Size& size) {
    int i = 0;
    for (; job >= parts(size(made.parts[i]), AT_ONCE); ++i) job -= parts(size(made.parts[i]), AT_ONCE);
    const Index begin = job * AT_ONCE;
    return {made.parts[i], begin, smaller(AT_ONCE, size(made.parts[i]) - begin)};
}

inline void check_neighbours(const Tensor& tensor, const char* name) {
    if (!tensor.given() || tensor.sizes[tensor.rank - 1] < 2 || tensor.strides[tensor.rank - 1] == 1) return;
    wrong_argument(name, tensor.strides[tensor.rank - 1], "a stride of 1 along the last dimension");
}

template <class S>
struct MadeStyles {
    const StyleParts& made;
    Index num, channels, outputs;
    Array<const S, 1> weight_square, gain;
    Array<S, 2> styles, demod;

    MadeStyles(const StyleParts& made, Index num)
        : made(made), num(num), channels(made.channels()), outputs(made.outputs()) {
        styles = array<S>(made.styles, "styles", {num, channels});
        gain = optional_array<const S>(made.gain, "gain", {outputs});
        if (outputs > 0) {
            weight_square = array<const S>(made.weight_square, "weight_square", {made.squares()});
            demod = array<S>(made.demod, "demod", {num, outputs});
        }
        check_neighbours(made.weight_square, "weight_square");
        check_neighbours(made.styles, "styles");
        check_neighbours(made.demod, "demod");
    }

    // Once the styles are written.
    void finish(Queue queue) const {
        if (made.normalize) normalize(queue);
        if (outputs > 0) write_demod(queue);
    }

  private:
    void normalize(Queue queue) const {
        parallel_for(queue, made.num_parts * num, num * channels, [&](Index job) {
            const StylePart& part = made.parts[job / num];
            if (part.outputs == 0) return;
            S* const style = styles.at(job % num, part.first_channel);
            S largest = S(1e-20);
            for (int i = 0; i < part.channels; ++i) {
                const S size = style[i] < 0 ? -style[i] : style[i];
                largest = size > largest ? size : largest;
            }
            for (int i = 0; i < part.channels; ++i) style[i] /= largest;
        });
    }

    void write_demod(Queue queue) const {
        const auto size = [](const StylePart& part) { return Index(part.outputs); };
        parallel_for(queue, num_shares(made, size), num * made.weight_square.num_elements(), [&](Index job) {
            const Share share = share_of(made, job, size);
            const int length = share.part.channels;
            const Index first = share.part.first_output + share.begin;
            const S* const squares = weight_square.at(share.part.first_square + share.begin * length);
            const auto weight_of = [&](Index o) { return squares + o * length; };
            Buffer<S> terms(BLOCK_ROWS * length);
            for (Index n = 0; n < num; n += BLOCK_ROWS) {
                const Index rows = smaller(BLOCK_ROWS, num - n);
                for (Index r = 0; r < rows; ++r) {
                    const S* const style = styles.at(n + r, share.part.first_channel);
                    for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
                        const Vector<S> value = load(style + i, lanes);
                        store(&terms[r * length + i], value * value, lanes);
                    });
                }
                const auto row = [&](Index r) { return &terms[r * length]; };
                multiply_rows<S>(demod.at(n, first), demod.strides[0], row, rows, weight_of, share.count, length);
                for (Index r = 0; r < rows; ++r) take_roots(demod.at(n + r, first), first, int(share.count));
            }
        });
    }

    void take_roots(S* factors, Index first, int count) const {
        const Vector<S> epsilon = broadcast(S(made.epsilon));
        for_vectors<S>(count, [&](int o, auto lanes) INLINE_LAMBDA {
            store(factors + o, S(1) / square_root(load(factors + o, lanes) + epsilon), lanes);
        });
        for (int o = 0; gain && o < count; ++o) factors[o] *= *gain.at(first + o);
    }
};

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
