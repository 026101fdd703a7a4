// The styles of all layers from their codes, and the demodulation factors that follow from them.
#pragma once

#include "../include/launch.h"
#include "../include/tensor_view.h"

namespace higan_fast {

// One layer's share of LayerStyles: the style is read off code `code`. It has `channels` values; with `outputs` > 0 it
// modulates a convolution that is demodulated. The rest says where its own begins.
struct StylePart {
    int code = 0, channels = 0, outputs = 0;
    int first_channel = 0, first_output = 0;
    std::int64_t first_square = 0;
};

constexpr int MOST_STYLE_PARTS = 64;

// For each part, with i and o counted from where its own begin:
// styles[n, i] = Σ_d weight[i, d]·codes[n, code, d] + bias[i], and with `normalize`, for parts that have outputs,
//                divided by their largest magnitude in sample n
// demod[n, o]  = gain[o]·rsqrt(Σ_i weight_square[o, i]·styles[n, i]² + epsilon)
// All in one dtype (float32; on the CPU also float64), with neighbours along the last dimension.
struct LayerStyles {
    Tensor codes;          // [N, L, D]
    Tensor weight;         // [C, D], C over all parts
    Tensor bias;           // [C]
    Tensor weight_square;  // [Σ outputs·channels], [outputs, channels] of each part; given where there are outputs
    Tensor gain;           // [O], O over all parts; not given: 1
    Tensor styles;         // [N, C]
    Tensor demod;          // [N, O]; given where there are outputs
    Tensor workspace;      // [N, C], for CUDA with `normalize`
    bool normalize = false;
    double epsilon = 1e-8;
    int num_parts = 0;
    StylePart parts[MOST_STYLE_PARTS];
};

namespace cuda {
void layer_styles(const LayerStyles&, Queue);
}

}  // namespace higan_fast
