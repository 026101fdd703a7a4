// The styles of all layers from their codes, and the demodulation factors that follow from them.
#include "style_parts.h"
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

template <class S>
void run(const LayerStyles& op, Queue queue) {
    const Index num = op.codes.sizes[0], depth = op.codes.sizes[2];
    const MadeStyles<S> out(op.made, num);
    const auto codes = array<const S>(op.codes, "codes", {num, op.codes.sizes[1], depth});
    const auto weight = array<const S>(op.weight, "weight", {out.channels, depth});
    const auto bias = array<const S>(op.bias, "bias", {out.channels});
    check_neighbours(op.codes, "codes");
    check_neighbours(op.weight, "weight");
    const auto size = [](const StylePart& part) { return Index(part.channels); };
    parallel_for(queue, num_shares(op.made, size), num * out.channels * depth, [&](Index job) {
        const Share share = share_of(op.made, job, size);
        const Index first = share.part.first_channel + share.begin;
        const auto code = [&](Index n) { return codes.at(n, share.part.code, 0); };
        const auto row = [&](Index i) { return weight.at(first + i, 0); };
        multiply_rows<S>(out.styles.at(0, first), out.styles.strides[0], code, num, row, share.count, int(depth));
        for (Index n = 0; n < num; ++n) {
            for (Index i = 0; i < share.count; ++i) *out.styles.at(n, first + i) += *bias.at(first + i);
        }
    });
    out.finish(queue);
}

}  // namespace

void layer_styles(const LayerStyles& op, Queue queue) {
    if (op.codes.rank != 3) wrong_argument("codes", op.codes.rank, "rank 3");
    for (int i = 0; i < op.made.num_parts; ++i) {
        const int code = op.made.parts[i].code;
        if (code < 0 || code >= op.codes.sizes[1]) wrong_argument("parts", code, "codes that there are");
    }
    if (op.codes.sizes[0] == 0) return;
    if (op.made.styles.dtype == DType::float64) {
        run<double>(op, queue);
    } else {
        run<float>(op, queue);
    }
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
