// Sums of products of rows: out[r, o] = Σ_i rows[r, i]·weights[o, i].
#pragma once

#include "runs.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

// So many rows × outputs at once.
constexpr int ROWS = 4, OUTPUTS = VECTOR_BYTES == 64 ? 4 : 2;

template <class S, int AT_ONCE, class Row, class Weight>
void multiply_block(S* out, Index pitch, const Row& row, int num_rows, const Weight& weight, int num_outputs,
                    int length) {
    const S *r[AT_ONCE], *w[OUTPUTS];
    for (int i = 0; i < AT_ONCE; ++i) r[i] = row(i < num_rows ? i : 0);
    for (int j = 0; j < OUTPUTS; ++j) w[j] = weight(j < num_outputs ? j : 0);
    Vector<S> sums[AT_ONCE][OUTPUTS] = {};
    for_vectors<S>(length, [&](int c, auto lanes) INLINE_LAMBDA {
        Vector<S> factors[OUTPUTS];
        for (int j = 0; j < OUTPUTS; ++j) factors[j] = load(w[j] + c, lanes);
        for (int i = 0; i < AT_ONCE; ++i) {
            const Vector<S> value = load(r[i] + c, lanes);
            for (int j = 0; j < OUTPUTS; ++j) sums[i][j] = multiply_add(value, factors[j], sums[i][j]);
        }
    });
    for (int i = 0; i < num_rows; ++i) {
        for (int j = 0; j < num_outputs; ++j) out[i * pitch + j] = sum_lanes<S>(sums[i][j]);
    }
}

// Writes the sums of all rows and outputs; row(r) and weight(o) return where each begins, and rows of `out` are `pitch`
// apart.
template <class S, class Row, class Weight>
void multiply_rows(S* out, Index pitch, const Row& row, Index num_rows, const Weight& weight, Index num_outputs,
                   int length) {
    for (Index o = 0; o < num_outputs; o += OUTPUTS) {
        const auto weight_from = [&](int j) { return weight(o + j); };
        const int outputs = int(smaller(OUTPUTS, num_outputs - o));
        for (Index r = 0; r < num_rows; r += ROWS) {
            const auto row_from = [&](int i) { return row(r + i); };
            S* const to = out + r * pitch + o;
            if (num_rows - r == 1) {
                multiply_block<S, 1>(to, pitch, row_from, 1, weight_from, outputs, length);
            } else {
                const int rows = int(smaller(ROWS, num_rows - r));
                multiply_block<S, ROWS>(to, pitch, row_from, rows, weight_from, outputs, length);
            }
        }
    }
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
