// Perturbed styles and their demodulation factors, for all steps along all directions.
#pragma once

#include "../include/launch.h"
#include "../include/tensor_view.h"

namespace higan_fast {

// styles[n, m, s, c] = base[n, c] + steps[s] · directions[m, c]
// demod[n, m, s, o]  = rsqrt(a + 2·steps[s]·b + steps[s]²·c + epsilon), where, summed over channels i,
//     a = Σ weight_square[o, i]·base[n, i]²     b = Σ weight_square[o, i]·base[n, i]·directions[m, i]
//     c = Σ weight_square[o, i]·directions[m, i]²
// All in one dtype (float32; on the CPU also float64). The quadratic is clamped to ≥ 0 before epsilon is added: it
// is a sum of squares, and rounding must not make it negative.
struct PerturbStyles {
    Tensor base;           // [N, C]
    Tensor directions;     // [M, C]
    Tensor steps;          // [S]
    Tensor weight_square;  // [O, C], or not given
    Tensor styles;         // [N, M, S, C]
    Tensor demod;          // [N, M, S, O]; given when weight_square is
    double epsilon = 1e-8;
};

namespace cuda {
void perturb_styles(const PerturbStyles&, Queue);
}

}  // namespace higan_fast
