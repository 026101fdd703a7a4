// The styles of all layers for a list of perturbations, and the demodulation factors that follow from them.
#include "style_parts.h"
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

constexpr Index CHANNELS_AT_ONCE = 1024;  // of a job

void check_indices(const Array<const std::int64_t, 1>& indices, const char* name, Index num, Index rows) {
    for (Index k = 0; k < num; ++k) {
        const std::int64_t index = *indices.at(k);
        if (index < 0 || index >= rows) wrong_argument(name, index, "indices of rows that there are");
    }
}

template <class S>
void run(const PerturbStyles& op, Queue queue) {
    const Index num = op.steps.sizes[0];
    const MadeStyles<S> out(op.made, num);
    const auto base = array<const S>(op.base, "base", {op.base.sizes[0], out.channels});
    const auto directions = array<const S>(op.directions, "directions", {op.directions.sizes[0], out.channels});
    const auto source = array<const std::int64_t>(op.source, "source", {num});
    const auto direction = array<const std::int64_t>(op.direction, "direction", {num});
    const auto steps = array<const S>(op.steps, "steps", {num});
    check_neighbours(op.base, "base");
    check_neighbours(op.directions, "directions");
    check_indices(source, "source", num, op.base.sizes[0]);
    check_indices(direction, "direction", num, op.directions.sizes[0]);
    const Index across = parts(out.channels, CHANNELS_AT_ONCE);
    parallel_for(queue, num * across, num * out.channels, [&](Index job) {
        const Index k = job / across, first = job % across * CHANNELS_AT_ONCE;
        const S* const from = base.at(*source.at(k), first);
        const S* const along = directions.at(*direction.at(k), first);
        S* const to = out.styles.at(k, first);
        const Vector<S> step = broadcast(*steps.at(k));
        const int length = int(smaller(CHANNELS_AT_ONCE, out.channels - first));
        for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
            store(to + i, multiply_add(load(along + i, lanes), step, load(from + i, lanes)), lanes);
        });
    });
    out.finish(queue);
}

}  // namespace

void perturb_styles(const PerturbStyles& op, Queue queue) {
    if (op.base.rank != 2) wrong_argument("base", op.base.rank, "rank 2");
    if (op.directions.rank != 2) wrong_argument("directions", op.directions.rank, "rank 2");
    if (op.steps.rank != 1) wrong_argument("steps", op.steps.rank, "rank 1");
    if (op.steps.sizes[0] == 0) return;
    if (op.made.styles.dtype == DType::float64) {
        run<double>(op, queue);
    } else {
        run<float>(op, queue);
    }
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
