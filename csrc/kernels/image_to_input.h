// Generated images → input of a scoring network: clip, round, resize and normalise in one pass.
#pragma once

#include "../include/launch.h"
#include "../include/tensor_view.h"

namespace higan_fast {

// p = (clip(images, −1, 1) + 1) / 2, and with round_to_uint8: p = floor(255·p + 0.5) / 255;
// out = (bilinear(p) − mean[k]) / std[k], with half-pixel centres and clamped edges. With antialias, a scale above 1
// widens the triangle by that scale (like Pillow and torch's antialias=True). Each row of weights sums to 1.
constexpr int MOST_INPUT_CHANNELS = 4;

struct ImageToInput {
    Tensor images;  // [N, K, H, W] (K = 3 mostly, ≤ 4)
    Tensor out;     // [N, K, OH, OW] in images' dtype
    double mean[MOST_INPUT_CHANNELS] = {0, 0, 0, 0};
    double std[MOST_INPUT_CHANNELS] = {1, 1, 1, 1};
    bool round_to_uint8 = false;
    bool antialias = true;
};

namespace cuda {
void image_to_input(const ImageToInput&, Queue);
}

}  // namespace higan_fast
