// The styles of all layers from their codes, and the demodulation factors that follow from them.
#pragma once

#include "style_parts.h"

namespace higan_fast {

// styles[n, i] = Σ_d weight[i, d]·codes[n, code, d] + bias[i], with i counted from where each part begins; then as in
// StyleParts. All in one dtype (float32; on the CPU also float64), with neighbours along the last dimension.
struct LayerStyles {
    Tensor codes;   // [N, L, D]
    Tensor weight;  // [C, D], C over all parts
    Tensor bias;    // [C]
    StyleParts made;
};

namespace cuda {
void layer_styles(const LayerStyles&, Queue);
}

}  // namespace higan_fast
