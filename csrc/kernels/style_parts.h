// The styles of several layers side by side, and the demodulation factors that follow from them: the second half of
// layer_styles and of perturb_styles.
#pragma once

#include "../include/launch.h"
#include "../include/tensor_view.h"

namespace higan_fast {

// One layer's share. It has `channels` values; with `outputs` > 0 it modulates a convolution that is demodulated. The
// rest says where its own begins. layer_styles reads the style off code `code`.
struct StylePart {
    int code = 0, channels = 0, outputs = 0;
    int first_channel = 0, first_output = 0;
    std::int64_t first_square = 0;
};

constexpr int MOST_STYLE_PARTS = 64;

// What becomes of the styles that an op computes. For each part, with i and o counted from where its own begin:
// styles[n, i] is divided by the part's largest magnitude in sample n, with `normalize` and if it has outputs
// demod[n, o] = gain[o]·rsqrt(Σ_i weight_square[o, i]·styles[n, i]² + epsilon)
// All in one dtype (float32; on the CPU also float64), with neighbours along the last dimension.
struct StyleParts {
    Tensor weight_square;  // [Σ outputs·channels], [outputs, channels] of each part; given where there are outputs
    Tensor gain;           // [O], O over all parts; not given: 1
    Tensor styles;         // [N, C], C over all parts
    Tensor demod;          // [N, O]; given where there are outputs
    Tensor workspace;      // [N, C], for CUDA with `normalize`
    bool normalize = false;
    double epsilon = 1e-8;
    int num_parts = 0;
    StylePart parts[MOST_STYLE_PARTS];

    std::int64_t channels() const { return last().first_channel + last().channels; }
    std::int64_t outputs() const { return last().first_output + last().outputs; }
    std::int64_t squares() const { return last().first_square + std::int64_t(last().outputs) * last().channels; }

  private:
    const StylePart& last() const { return parts[num_parts - 1]; }
};

}  // namespace higan_fast
