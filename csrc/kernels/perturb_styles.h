// The styles of all layers for a list of perturbations, and the demodulation factors that follow from them.
#pragma once

#include "style_parts.h"

namespace higan_fast {

// styles[k] = base[source[k]] + steps[k]·directions[direction[k]], then as in StyleParts for each of the n entries.
// All in one dtype (float32; on the CPU also float64) but the indices, which are int64. Rows have neighbours along the
// last dimension. An index that is out of range is refused on the CPU; on CUDA its entry becomes NaN.
struct PerturbStyles {
    Tensor base;        // [N, C], C over all parts
    Tensor directions;  // [M, C]
    Tensor source;      // [n], int64, 0 to N - 1
    Tensor direction;   // [n], int64, 0 to M - 1
    Tensor steps;       // [n]
    StyleParts made;
};

namespace cuda {
void perturb_styles(const PerturbStyles&, Queue);
}

}  // namespace higan_fast
