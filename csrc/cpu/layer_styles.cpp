// The styles of all layers from their codes, and the demodulation factors that follow from them.
#include "products.h"
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

constexpr Index AT_ONCE = 64;     // channels or outputs of a job
constexpr Index BLOCK_ROWS = 16;  // samples whose squares are kept at a time

// Some neighbouring channels or outputs of one part.
struct Share {
    const StylePart& part;
    Index begin, count;
};

template <class Size>
Index num_shares(const LayerStyles& op, const Size& size) {
    Index num = 0;
    for (int i = 0; i < op.num_parts; ++i) num += parts(size(op.parts[i]), AT_ONCE);
    return num;
}

template <class Size>
Share share_of(const LayerStyles& op, Index job, const Size& size) {
    int i = 0;
    for (; job >= parts(size(op.parts[i]), AT_ONCE); ++i) job -= parts(size(op.parts[i]), AT_ONCE);
    const Index begin = job * AT_ONCE;
    return {op.parts[i], begin, smaller(AT_ONCE, size(op.parts[i]) - begin)};
}

template <class S>
struct Problem {
    const LayerStyles& op;
    Index num, depth, channels, outputs;
    Array<const S, 3> codes;
    Array<const S, 2> weight;
    Array<const S, 1> bias, weight_square, gain;
    Array<S, 2> styles, demod;

    explicit Problem(const LayerStyles& op) : op(op) {
        const StylePart& last = op.parts[op.num_parts - 1];
        num = op.codes.sizes[0];
        depth = op.codes.sizes[2];
        channels = last.first_channel + last.channels;
        outputs = last.first_output + last.outputs;
        codes = array<const S>(op.codes, "codes", {num, op.codes.sizes[1], depth});
        weight = array<const S>(op.weight, "weight", {channels, depth});
        bias = array<const S>(op.bias, "bias", {channels});
        styles = array<S>(op.styles, "styles", {num, channels});
        gain = optional_array<const S>(op.gain, "gain", {outputs});
        if (outputs > 0) {
            const Index squares = last.first_square + Index(last.outputs) * last.channels;
            weight_square = array<const S>(op.weight_square, "weight_square", {squares});
            demod = array<S>(op.demod, "demod", {num, outputs});
        }
        check_neighbours(op.codes, "codes");
        check_neighbours(op.weight, "weight");
        check_neighbours(op.weight_square, "weight_square");
        check_neighbours(op.styles, "styles");
        check_neighbours(op.demod, "demod");
    }

    static void check_neighbours(const Tensor& tensor, const char* name) {
        if (!tensor.given() || tensor.sizes[tensor.rank - 1] < 2 || tensor.strides[tensor.rank - 1] == 1) return;
        wrong_argument(name, tensor.strides[tensor.rank - 1], "a stride of 1 along the last dimension");
    }

    void write_styles(Queue queue) const {
        const auto size = [](const StylePart& part) { return Index(part.channels); };
        parallel_for(queue, num_shares(op, size), num * channels * depth, [&](Index job) {
            const Share share = share_of(op, job, size);
            const Index first = share.part.first_channel + share.begin;
            const auto code = [&](Index n) { return codes.at(n, share.part.code, 0); };
            const auto row = [&](Index i) { return weight.at(first + i, 0); };
            multiply_rows<S>(styles.at(0, first), styles.strides[0], code, num, row, share.count, int(depth));
            for (Index n = 0; n < num; ++n) {
                for (Index i = 0; i < share.count; ++i) *styles.at(n, first + i) += *bias.at(first + i);
            }
        });
    }

    void normalize(Queue queue) const {
        parallel_for(queue, op.num_parts * num, num * channels, [&](Index job) {
            const StylePart& part = op.parts[job / num];
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
        parallel_for(queue, num_shares(op, size), num * op.weight_square.num_elements(), [&](Index job) {
            const Share share = share_of(op, job, size);
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
                for (Index r = 0; r < rows; ++r) finish(demod.at(n + r, first), first, int(share.count));
            }
        });
    }

    void finish(S* factors, Index first, int count) const {
        const Vector<S> epsilon = broadcast(S(op.epsilon));
        for_vectors<S>(count, [&](int o, auto lanes) INLINE_LAMBDA {
            store(factors + o, S(1) / square_root(load(factors + o, lanes) + epsilon), lanes);
        });
        for (int o = 0; gain && o < count; ++o) factors[o] *= *gain.at(first + o);
    }
};

template <class S>
void run(const LayerStyles& op, Queue queue) {
    const Problem<S> problem(op);
    problem.write_styles(queue);
    if (op.normalize) problem.normalize(queue);
    if (problem.outputs > 0) problem.write_demod(queue);
}

}  // namespace

void layer_styles(const LayerStyles& op, Queue queue) {
    if (op.num_parts < 1 || op.num_parts > MOST_STYLE_PARTS) wrong_argument("parts", op.num_parts, "1 to 64");
    if (op.codes.rank != 3) wrong_argument("codes", op.codes.rank, "rank 3");
    for (int i = 0; i < op.num_parts; ++i) {
        const int code = op.parts[i].code;
        if (code < 0 || code >= op.codes.sizes[1]) wrong_argument("parts", code, "codes that there are");
    }
    if (op.codes.sizes[0] == 0) return;
    if (op.styles.dtype == DType::float64) {
        run<double>(op, queue);
    } else {
        run<float>(op, queue);
    }
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
