// Perturbed styles and their demodulation factors, for all steps along all directions.
#include "products.h"
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

// The rows of the three sums, each for a product of two vectors: base·base for each n, then direction·direction
// for each m, then base·direction for each (n, m).
template <class S>
struct Rows {
    const Factors<S>&base, &directions;
    Index num, num_directions;

    Index count() const { return num + num_directions + num * num_directions; }
    Index of_base(Index n) const { return n; }
    Index of_direction(Index m) const { return num + m; }
    Index of_both(Index n, Index m) const { return num + num_directions + n * num_directions + m; }

    void multiply(S* product, Index row, int channels) const {
        const Index pair = row - of_both(0, 0);
        const S *u, *v;
        if (pair >= 0) {
            u = base.at(pair / num_directions, 0);
            v = directions.at(pair % num_directions, 0);
        } else {
            u = v = row < num ? base.at(row, 0) : directions.at(row - num, 0);
        }
        for_vectors<S>(channels, [&](int i, auto lanes) INLINE_LAMBDA {
            store(product + i, load(u + i, lanes) * load(v + i, lanes), lanes);
        });
    }
};

// sums[row, o] = Σ_i weight_square[o, i]·product_of_row[i]
template <class S>
void sum_products(S* sums, const Rows<S>& rows, const Factors<S>& weights, Index outputs, int channels,
                  Queue queue) {
    constexpr int BLOCK_ROWS = 4 * ROWS, BLOCK_OUTPUTS = 64;
    const Index across = parts(outputs, BLOCK_OUTPUTS), down = parts(rows.count(), BLOCK_ROWS);
    parallel_for(queue, across * down, rows.count() * outputs * channels, [&](Index job) {
        const Index row = job / across * BLOCK_ROWS, output = job % across * BLOCK_OUTPUTS;
        const int num_rows = int(smaller(BLOCK_ROWS, rows.count() - row));
        Buffer<S> products(Index(num_rows) * channels);
        for (int r = 0; r < num_rows; ++r) rows.multiply(&products[Index(r) * channels], row + r, channels);
        multiply_rows<S>(
            sums + row * outputs + output, outputs, [&](Index r) { return &products[r * channels]; }, num_rows,
            [&](Index o) { return weights.at(output + o, 0); }, smaller(BLOCK_OUTPUTS, outputs - output), channels);
    });
}

// A run of the last dimension of a result [N, M, S, …].
struct Run {
    Index n, m, s, begin;
    int length;
};

// Calls fill(to, run) for each run.
template <class S, class Fill>
void for_each_step(const Array<S, 4>& out, const Rows<S>& rows, Index num_steps, Index length, Queue queue,
                   const Fill& fill) {
    const Index jobs = rows.num * rows.num_directions * num_steps;
    parallel_for(queue, jobs, jobs * length, [&](Index job) {
        const Index s = job % num_steps, pair = job / num_steps;
        for (Index i = 0; i < length; i += LONGEST_RUN) {
            const int left = int(smaller(LONGEST_RUN, length - i));
            const Run run{pair / rows.num_directions, pair % rows.num_directions, s, i, left};
            scattered(out.at(run.n, run.m, s, i), out.strides[3], run.length, [&](S* to) { fill(to, run); });
        }
    });
}

template <class S>
void perturb(const PerturbStyles& op, Queue queue) {
    const Index num = op.styles.sizes[0], num_directions = op.styles.sizes[1], num_steps = op.styles.sizes[2];
    const Index channels = op.styles.sizes[3], outputs = op.weight_square.given() ? op.weight_square.sizes[0] : 0;
    const Factors<S> base(op.base, "base", num, channels, 0, 1);
    const Factors<S> directions(op.directions, "directions", num_directions, channels, 0, 1);
    const auto steps = array<const S>(op.steps, "steps", {num_steps});
    const auto styles = array<S>(op.styles, "styles", {num, num_directions, num_steps, channels});
    const Rows<S> rows{base, directions, num, num_directions};
    for_each_step(styles, rows, num_steps, channels, queue, [&](S* to, const Run& run) {
        const S *const from = base.at(run.n, run.begin), *const along = directions.at(run.m, run.begin);
        const Vector<S> step = broadcast(*steps.at(run.s));
        for_vectors<S>(run.length, [&](int i, auto lanes) INLINE_LAMBDA {
            store(to + i, multiply_add(load(along + i, lanes), step, load(from + i, lanes)), lanes);
        });
    });
    if (outputs == 0) return;

    const Factors<S> weights(op.weight_square, "weight_square", outputs, channels, 0, 1);
    const auto demod = array<S>(op.demod, "demod", {num, num_directions, num_steps, outputs});
    Buffer<S> sums(rows.count() * outputs);
    sum_products(sums.data(), rows, weights, outputs, int(channels), queue);
    for_each_step(demod, rows, num_steps, outputs, queue, [&](S* to, const Run& run) {
        const S* const a = &sums[rows.of_base(run.n) * outputs + run.begin];
        const S* const b = &sums[rows.of_both(run.n, run.m) * outputs + run.begin];
        const S* const c = &sums[rows.of_direction(run.m) * outputs + run.begin];
        const Vector<S> step = broadcast(*steps.at(run.s)), epsilon = broadcast(S(op.epsilon));
        for_vectors<S>(run.length, [&](int i, auto lanes) INLINE_LAMBDA {
            const Vector<S> slope = multiply_add(load(c + i, lanes), step, load(b + i, lanes) * S(2));
            Vector<S> square = multiply_add(slope, step, load(a + i, lanes));
            square = square < 0 ? Vector<S>{} : square;
            store(to + i, S(1) / square_root(square + epsilon), lanes);
        });
    });
}

}  // namespace

void perturb_styles(const PerturbStyles& op, Queue queue) {
    if (op.styles.rank != 4) wrong_argument("styles", op.styles.rank, "rank 4");
    if (op.styles.sizes[0] * op.styles.sizes[1] * op.styles.sizes[2] == 0) return;
    if (op.styles.dtype == DType::float64) {
        perturb<double>(op, queue);
    } else {
        perturb<float>(op, queue);
    }
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
