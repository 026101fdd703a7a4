// Which input pixels contribute to an output pixel, along one axis, and how a pixel is read.
#pragma once

#include <cmath>

#include "../include/tensor_view.h"
#include "image_to_input.h"

namespace higan_fast {

// Bilinear interpolation as a triangle filter: as wide as two pixels of the coarser grid with antialias, otherwise as
// two input pixels. Weights are 1 at the centre and 0 at the ends; their sum over the taps is `total`.
struct TriangleTaps {
    int first, end;
    float centre, narrowness, total;

    HOST_DEVICE TriangleTaps(int position, float scale, int input_size, bool antialias) {
        const float reach = antialias && scale > 1 ? scale : 1;
        centre = (position + 0.5f) * scale;
        narrowness = 1 / reach;
        first = int(centre - reach + 0.5f);  // rounds towards zero: there are no taps outside the input
        end = int(std::ceil(centre + reach - 0.5f));
        if (first < 0) first = 0;
        if (end > input_size) end = input_size;
        total = 0;
        for (int tap = first; tap < end; ++tap) total += weight(tap);
    }

    HOST_DEVICE float weight(int tap) const {
        const float height = 1 - std::fabs(tap + 0.5f - centre) * narrowness;
        return height > 0 ? height : 0;
    }
};

// [-1, 1] → [0, 1]; values outside are clipped, NaN stays NaN.
HOST_DEVICE float to_unit(float x, bool round_to_uint8) {
    const float unit = ((x > 1 ? 1 : x < -1 ? -1 : x) + 1) / 2;
    return round_to_uint8 ? std::floor(unit * 255 + 0.5f) * (1 / 255.0f) : unit;
}

}  // namespace higan_fast
