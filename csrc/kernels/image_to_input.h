// Generated images → input of a scoring network: clip, round, resize and normalise in one pass.
#pragma once

#include "../include/launch.h"
#include "../include/tensor_view.h"

namespace higan_fast {

// p = (clip(images, −1, 1) + 1) / 2, and with round_to_uint8: p = floor(255·p + 0.5) / 255;
// out = (bilinear(p) − mean[k]) / std[k], with half-pixel centres and clamped edges. With antialias, a scale above 1
// widens the triangle by that scale (like Pillow and torch's antialias=True). Each row of weights sums to 1.
struct ImageToInput {
    Tensor images;  // [N, 3, H, W]
    Tensor out;     // [N, 3, OH, OW] in images' dtype
    double mean[3] = {0, 0, 0};
    double std[3] = {1, 1, 1};
    bool round_to_uint8 = false;
    bool antialias = true;
};

namespace cuda {
void image_to_input(const ImageToInput&, Queue);
}

}  // namespace higan_fast
